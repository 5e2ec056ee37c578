//! From a tree of values to an [`Sdl`]: every section is read for itself, then the references between them are followed.

use super::link::{Deployed, ExposeText, Named, ParamsText, Placement, Sections, ServiceText, Target, Use};
use super::model::{Attributes, Credentials, Mount, Price, Resources, Sdl, Storage};
use super::read::{At, Fields, Reader, atto};
use super::yaml::{self, Pos};
use super::{MAX_PROBLEMS, Problem};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

impl Sdl {
    /// Reads a deployment file.
    ///
    /// # Errors
    /// All mistakes in the file, in the order of their places.
    pub fn parse(text: &str) -> Result<Sdl, Vec<Problem>> {
        read(text, false).map(|(sdl, _)| sdl)
    }

    /// As [`Sdl::parse`], but unknown keys are ignored and returned as warnings.
    ///
    /// # Errors
    /// All other mistakes.
    pub fn parse_lenient(text: &str) -> Result<(Sdl, Vec<Problem>), Vec<Problem>> {
        read(text, true)
    }
}

fn read(text: &str, lenient: bool) -> Result<(Sdl, Vec<Problem>), Vec<Problem>> {
    let mut reader = Reader { problems: Vec::new(), warnings: lenient.then(Vec::new) };
    let sdl = yaml::load(text, &mut reader.problems).and_then(|root| reader.file(&At::root(&root)));
    let Reader { mut problems, warnings } = reader;
    match sdl {
        Some(sdl) if problems.is_empty() => Ok((sdl, warnings.unwrap_or_default())),
        _ => {
            problems.sort_by_key(|problem| (problem.line, problem.column));
            if let Some(problem) = problems.get_mut(MAX_PROBLEMS) {
                (problem.path, problem.message) = (String::new(), "expected fewer problems, got more than are shown".to_owned());
                problems.truncate(MAX_PROBLEMS + 1);
            }
            Err(problems)
        }
    }
}

fn is_name(text: &str, extra: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
}

/// A DNS label that starts with a letter, as a service's name becomes a host name.
fn is_service_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn is_host_name(host: &str) -> bool {
    let label = |label: &str| label.len() <= 63 && is_name(label, "-") && !label.starts_with('-') && !label.ends_with('-');
    host.len() <= 253 && host.split('.').all(label) && !host.contains(|c: char| c.is_ascii_uppercase())
}

fn is_attribute_key(key: &str) -> bool {
    (2..=127).contains(&key.len()) && key.starts_with(|c: char| c.is_ascii_alphabetic()) && is_name(key, "_/.-")
}

fn is_denom(denom: &str) -> bool {
    (3..=128).contains(&denom.len()) && denom.starts_with(|c: char| c.is_ascii_alphabetic()) && is_name(denom, "/:._-")
}

fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(char::is_control)
}

/// Seconds of `24h`, `1h30m`, `90s`.
fn window_seconds(text: &str) -> Option<u64> {
    let (mut total, mut number) = (0u64, String::new());
    for c in text.chars() {
        let unit = match c {
            '0'..='9' => {
                number.push(c);
                continue;
            }
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        total = total.checked_add(std::mem::take(&mut number).parse::<u64>().ok()?.checked_mul(unit)?)?;
    }
    (number.is_empty() && total > 0).then_some(total)
}

impl Reader {
    fn file(&mut self, at: &At) -> Option<Sdl> {
        const KEYS: [&str; 7] = ["version", "include", "services", "profiles", "deployment", "endpoints", "reclamation"];
        let root = self.fields(at, "a deployment file", &KEYS)?;
        if let Some(version) = self.required(&root, "version", "2.0 or 2.1") {
            self.word(&version, &["2.0", "2.1"]);
        }
        let merge_units = root.get("version").is_some_and(|at| at.as_text() == "2.1");
        if let Some(include) = root.get("include")
            && !self.list(&include, "files").is_empty()
        {
            self.wrong_kind(&include, "no files to include, because a deployment file stands for itself");
        }
        let services = self.required(&root, "services", "a mapping of services").map(|at| self.services(&at)).unwrap_or_default();
        let (mut compute, mut placements) = (Named::new(), Named::new());
        if let Some(at) = self.required(&root, "profiles", "compute and placement profiles")
            && let Some(profiles) = self.fields(&at, "profiles", &["compute", "placement"])
        {
            if let Some(at) = self.required(&profiles, "compute", "a mapping of compute profiles") {
                compute = self.named(&at, "compute profiles").into_iter().map(|(name, at)| (name, self.compute(&at))).collect();
            }
            if let Some(at) = self.required(&profiles, "placement", "a mapping of placements") {
                placements = self.named(&at, "placements").into_iter().map(|(name, at)| (name, self.placement(at))).collect();
            }
        }
        let endpoints = root.get("endpoints").map(|at| self.endpoints(&at)).unwrap_or_default();
        let deployed = self.required(&root, "deployment", "a mapping of services").map(|at| self.deployment(&at)).unwrap_or_default();
        let reclamation_seconds = root.get("reclamation").and_then(|at| self.reclamation(&at));

        let groups = self.link(&Sections { services, compute, placements, endpoints, deployed, merge_units });
        Some(Sdl { groups, reclamation_seconds })
    }

    // ---- services

    fn services<'a>(&mut self, at: &At<'a>) -> Named<'a, ServiceText<'a>> {
        let services = self.named(at, "services");
        services.into_iter().map(|(name, at)| (name, self.service(name, &at).unwrap_or_default())).collect()
    }

    fn service<'a>(&mut self, name: &str, at: &At<'a>) -> Option<ServiceText<'a>> {
        const KEYS: [&str; 10] =
            ["image", "command", "args", "env", "expose", "params", "credentials", "dependencies", "depends_on", "depends-on"];
        if !is_service_name(name) {
            let message =
                "expected a service name of 1 to 63 lower case letters, digits and '-', from a letter to a letter or digit, got another";
            self.problem(at.key, &at.path, message);
        }
        let service = self.fields(at, "a service", &KEYS)?;
        let image = self.required(&service, "image", "a container image such as nginx:1.27").and_then(|at| {
            self.text_if(&at, "a container image such as nginx:1.27", |image| is_line(image) && !image.contains(char::is_whitespace))
        });
        let mut dependencies = Vec::new();
        for key in ["dependencies", "depends_on", "depends-on"] {
            let list = service.get(key).map(|at| self.list(&at, "services"));
            for at in list.unwrap_or_default() {
                dependencies.extend(match at.node.value {
                    yaml::Value::Scalar { .. } => Some(at),
                    _ => self.fields(&at, "a dependency", &["service"]).and_then(|fields| fields.get("service")),
                });
            }
        }
        Some(ServiceText {
            image: image.unwrap_or_default().to_owned(),
            command: service.get("command").map(|at| self.texts(&at, "word")),
            args: service.get("args").map(|at| self.texts(&at, "word")),
            env: service.get("env").map(|at| self.env(&at)),
            expose: service
                .get("expose")
                .map(|at| self.list(&at, "ports"))
                .unwrap_or_default()
                .iter()
                .filter_map(|at| self.expose(at))
                .collect(),
            params: service.get("params").and_then(|at| self.params(&at)),
            credentials: service.get("credentials").and_then(|at| self.credentials(&at)),
            dependencies,
        })
    }

    fn env(&mut self, at: &At) -> Vec<String> {
        let items = self.list(at, "NAME=value texts");
        let mut env = Vec::new();
        for at in items {
            let Some(text) = self.text(&at, "NAME=value") else {
                continue;
            };
            let name = text.split('=').next().unwrap_or_default();
            if !is_name(name, "_-.") || name.starts_with(|c: char| c.is_ascii_digit()) {
                self.wrong_kind(&at, "NAME=value with a name of letters, digits, '_', '-' and '.', not beginning with a digit");
            }
            env.push(text.to_owned());
        }
        env
    }

    fn expose<'a>(&mut self, at: &At<'a>) -> Option<ExposeText<'a>> {
        let expose = self.fields(at, "a port", &["port", "as", "proto", "to", "accept", "http_options"])?;
        let mut port = |at: At| self.integer(&at, 1, 65_535).and_then(|port| u16::try_from(port).ok());
        let external = expose.get("as").and_then(&mut port);
        let port = expose.get("port").map(&mut port);
        if port.is_none() {
            self.required(&expose, "port", "a whole number from 1 to 65535");
        }
        let proto = expose.get("proto").and_then(|at| self.word(&at, &["tcp", "udp", "TCP", "UDP"]));
        let to = expose.get("to").map(|at| self.list(&at, "targets")).unwrap_or_default();
        Some(ExposeText {
            port: port.flatten().unwrap_or_default(),
            external,
            udp: matches!(proto, Some("udp" | "UDP")),
            hosts: expose.get("accept").map(|at| self.hosts(&at)),
            http: self.http_options(expose.get("http_options")),
            to: to.iter().filter_map(|at| self.target(at)).collect(),
        })
    }

    fn hosts<'a>(&mut self, at: &At<'a>) -> Vec<At<'a>> {
        const EXPECTED: &str = "a host name of lower case letters, digits, '-' and '.'";
        let items = self.list(at, "host names");
        items.into_iter().filter(|at| self.text_if(at, EXPECTED, is_host_name).is_some()).collect()
    }

    fn target<'a>(&mut self, at: &At<'a>) -> Option<Target<'a>> {
        let to = self.fields(at, "a target", &["global", "service", "ip"])?;
        let (global, service, ip) = (to.get("global"), to.get("service"), to.get("ip"));
        if global.is_none() && service.is_none() && ip.is_none() {
            self.problem(at.node.pos, &at.path, "expected global: true or service: NAME, got neither");
        }
        let value = global.as_ref().and_then(|at| self.boolean(at, false));
        if ip.is_some() && (value == Some(false) || global.is_none()) {
            let pos = global.as_ref().map_or(at.node.pos, |at| at.node.pos);
            let got = if global.is_some() { "false" } else { "nothing" };
            self.problem(pos, at.join("global"), format!("expected true, because an ip is set, got {got}"));
        }
        Some(Target { global: value.unwrap_or(false), service, ip })
    }

    /// The options with their defaults, as manifests carry them; 0 stands for the default.
    fn http_options(&mut self, at: Option<At>) -> Value {
        const CASES: [&str; 10] = ["error", "timeout", "403", "404", "429", "500", "502", "503", "504", "off"];
        // key, name in manifests, default, maximum
        const NUMBERS: [(&str, &str, u32, u32); 5] = [
            ("max_body_size", "maxBodySize", 1_048_576, 104_857_600),
            ("read_timeout", "readTimeout", 60_000, 60_000),
            ("send_timeout", "sendTimeout", 60_000, 60_000),
            ("next_tries", "nextTries", 3, u32::MAX),
            ("next_timeout", "nextTimeout", 0, u32::MAX),
        ];
        let keys: Vec<_> = NUMBERS.iter().map(|number| number.0).chain(["next_cases", "proxy_buffer_size", "proxy"]).collect();
        let options = at.and_then(|at| self.fields(&at, "HTTP options", &keys));
        let get = |key: &str| options.as_ref().and_then(|options| options.get(key));
        let mut http = Map::new();
        for (key, name, default, max) in NUMBERS {
            let value = get(key).and_then(|at| self.integer(&at, 0, max)).filter(|value| *value != 0);
            http.insert(name.to_owned(), json!(value.unwrap_or(default)));
        }
        let mut cases = Vec::new();
        if let Some(at) = get("next_cases") {
            let items = self.list(&at, "cases");
            cases = items.iter().filter_map(|item| self.word(item, &CASES)).collect();
            if cases.contains(&"off") && cases.len() > 1 {
                self.problem(at.node.pos, &at.path, "expected off alone or cases without off, got both");
            }
        }
        http.insert("nextCases".to_owned(), if cases.is_empty() { json!(["error", "timeout"]) } else { json!(cases) });
        if let Some(size) = get("proxy_buffer_size").and_then(|at| self.integer(&at, 0, 1_048_576)).filter(|size| *size != 0) {
            http.insert("proxyBufferSize".to_owned(), json!(size));
        }
        if let Some(proxy) = get("proxy").and_then(|at| self.proxy(&at)) {
            http.insert("proxy".to_owned(), proxy);
        }
        Value::Object(http)
    }

    /// What is set of the proxy's buffers; the rest is the provider's default.
    fn proxy(&mut self, at: &At) -> Option<Value> {
        const NUMBERS: [(&str, &str); 5] = [
            ("buffer_size", "bufferSize"),
            ("buffers_number", "buffersNumber"),
            ("buffers_size", "buffersSize"),
            ("busy_buffers_size", "busyBuffersSize"),
            ("connect_timeout", "connectTimeout"),
        ];
        let keys: Vec<_> = NUMBERS.iter().map(|number| number.0).chain(["buffering_disable"]).collect();
        let proxy = self.fields(at, "proxy options", &keys)?;
        let mut set = Map::new();
        if proxy.get("buffering_disable").and_then(|at| self.boolean(&at, false)) == Some(true) {
            set.insert("bufferingDisable".to_owned(), json!(true));
        }
        for (key, name) in NUMBERS {
            if let Some(value) = proxy.get(key).and_then(|at| self.integer(&at, 0, u32::MAX)).filter(|value| *value != 0) {
                set.insert(name.to_owned(), json!(value));
            }
        }
        if set.contains_key("buffersNumber") != set.contains_key("buffersSize") {
            self.problem(at.node.pos, &at.path, "expected buffers_number and buffers_size together, got one of them");
        }
        (!set.is_empty()).then_some(Value::Object(set))
    }

    fn params<'a>(&mut self, at: &At<'a>) -> Option<ParamsText<'a>> {
        let params = self.fields(at, "parameters", &["storage", "permissions", "tee"])?;
        let mut mounts = Vec::new();
        let mut paths = BTreeSet::new();
        for (volume, at) in params.get("storage").map(|at| self.named(&at, "volumes")).unwrap_or_default() {
            let Some(fields) = self.fields(&at, "a mount", &["mount", "readOnly"]) else {
                continue;
            };
            const EXPECTED: &str = "an absolute path without '..'";
            let read_only = fields.get("readOnly").and_then(|at| self.boolean(&at, false)).unwrap_or(false);
            let mount = self.required(&fields, "mount", EXPECTED);
            let valid = |path: &str| path.starts_with('/') && is_line(path) && path.split('/').all(|part| part != "..");
            let path = mount.as_ref().and_then(|at| self.text_if(at, EXPECTED, valid)).unwrap_or_default();
            if let Some(at) = mount.filter(|_| !path.is_empty() && !paths.insert(path)) {
                self.wrong(&at, "a path of its own for each volume");
            }
            mounts.push((at, Mount { volume: volume.to_owned(), path: path.to_owned(), read_only }));
        }
        mounts.sort_by(|(_, a), (_, b)| a.volume.cmp(&b.volume));
        let permissions = params.get("permissions").and_then(|at| self.fields(&at, "permissions", &["read"])).map(|permissions| {
            let scopes = permissions.get("read").map(|at| self.list(&at, "scopes")).unwrap_or_default();
            scopes.iter().filter_map(|at| self.word(at, &["deployment", "logs", "events"])).map(str::to_owned).collect()
        });
        let tee = params.get("tee").filter(|at| self.word(at, &["cpu", "cpu-gpu"]).is_some());
        Some(ParamsText { mounts, permissions, tee })
    }

    fn credentials(&mut self, at: &At) -> Option<Credentials> {
        let fields = self.fields(at, "credentials", &["host", "email", "username", "password"])?;
        let mut field = |key: &str, what: &str| {
            let Some(at) = self.required(&fields, key, what) else {
                return String::new();
            };
            let text = self.text(&at, what).unwrap_or_default().trim();
            if text.is_empty() {
                self.wrong_kind(&at, format!("{what}, not blank"));
            }
            text.to_owned()
        };
        let host = field("host", "the registry's host");
        let (username, password) = (field("username", "a user name"), field("password", "a password"));
        let email = fields.get("email").and_then(|at| self.text(&at, "an email address"));
        Some(Credentials { host, email: email.unwrap_or_default().trim().to_owned(), username, password })
    }

    // ---- profiles

    fn compute(&mut self, at: &At) -> Resources {
        let resources = self
            .fields(at, "a compute profile", &["resources"])
            .and_then(|profile| self.required(&profile, "resources", "cpu, memory and storage"))
            .and_then(|at| self.fields(&at, "resources", &["cpu", "memory", "storage", "gpu"]));
        let mut out = Resources::default();
        let Some(resources) = resources else {
            return out;
        };
        if let Some(cpu) =
            self.required(&resources, "cpu", "a mapping with units").and_then(|at| self.fields(&at, "CPUs", &["units", "attributes"]))
        {
            let units = self.required(&cpu, "units", "CPUs such as 0.5, 1 or 500m");
            out.cpu_milli = units.and_then(|at| self.cpu(&at)).unwrap_or_default();
            let attributes = cpu.get("attributes").and_then(|at| self.fields(&at, "CPU attributes", &["arch"]));
            if let Some(arch) = attributes.and_then(|fields| fields.get("arch")).and_then(|at| self.word(&at, &["amd64", "arm64"])) {
                out.cpu_attributes = vec![("arch".to_owned(), arch.to_owned())];
            }
        }
        if let Some(memory) =
            self.required(&resources, "memory", "a mapping with size").and_then(|at| self.fields(&at, "memory", &["size"]))
        {
            let size = self.required(&memory, "size", "a size such as 512Mi");
            out.memory_bytes = size.and_then(|at| self.bytes(&at)).unwrap_or_default();
        }
        if let Some(at) = self.required(&resources, "storage", "a volume or a list of volumes") {
            let volumes = if matches!(at.node.value, yaml::Value::List(_)) { self.list(&at, "volumes") } else { vec![at.clone()] };
            if volumes.is_empty() {
                self.wrong_kind(&at, "at least one volume");
            }
            let mut names = BTreeSet::new();
            for at in volumes {
                let Some((volume, name_at)) = self.volume(&at) else {
                    continue;
                };
                if !names.insert(volume.name.clone()) {
                    let message = format!("expected a volume name of its own, got {:?} again", volume.name);
                    self.problem(name_at.unwrap_or(at.node.pos), at.join("name"), message);
                }
                out.storage.push(volume);
            }
        }
        if let Some(gpu) = resources.get("gpu").and_then(|at| self.fields(&at, "GPUs", &["units", "attributes"])) {
            self.gpu(&gpu, &mut out);
        }
        out
    }

    fn volume(&mut self, at: &At) -> Option<(Storage, Option<Pos>)> {
        let fields = self.fields(at, "a volume", &["name", "size", "attributes"])?;
        let size = self.required(&fields, "size", "a size such as 1Gi").and_then(|at| self.bytes(&at));
        let name = fields.get("name");
        let text =
            name.as_ref().and_then(|at| self.text_if(at, "a name of letters, digits, '-', '_' and '.'", |name| is_name(name, "-_.")));
        let attributes = fields.get("attributes").map(|at| self.volume_attributes(&at)).unwrap_or_default();
        let volume = Storage { name: text.unwrap_or("default").to_owned(), size_bytes: size.unwrap_or_default(), attributes };
        Some((volume, name.map(|at| at.node.pos)))
    }

    fn volume_attributes(&mut self, at: &At) -> Attributes {
        let Some(fields) = self.fields(at, "volume attributes", &["persistent", "class"]) else {
            return Vec::new();
        };
        let persistent = fields.get("persistent").and_then(|at| self.boolean(&at, true)).unwrap_or(false);
        let class_at = fields.get("class");
        let mut class = class_at.as_ref().and_then(|at| self.word(at, &["default", "beta1", "beta2", "beta3", "ram"]));
        if let (Some(at), Some(class)) = (&class_at, class)
            && persistent == (class == "ram")
        {
            let pos = fields.get("persistent").map_or(at.key, |at| at.node.pos);
            self.problem(pos, fields.at.join("persistent"), format!("expected {} with class {class}, got {persistent}", !persistent));
        }
        if class_at.is_none() && persistent {
            class = Some("default");
        }
        let class = class.map(|class| ("class".to_owned(), class.to_owned()));
        class.into_iter().chain([("persistent".to_owned(), persistent.to_string())]).collect()
    }

    fn gpu(&mut self, gpu: &Fields, out: &mut Resources) {
        const EXPECTED: &str = "a whole number of GPUs";
        let units = gpu.get("units");
        let count = units.as_ref().and_then(|at| Some((at, self.text(at, EXPECTED)?)));
        if let Some((at, text)) = count {
            match text.parse::<u32>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit())) {
                Some(count) => out.gpu_units = count.into(),
                None => return self.wrong(at, EXPECTED),
            }
        }
        let attributes = gpu.get("attributes");
        if out.gpu_units > 0 && attributes.is_none() {
            self.required(gpu, "attributes", "a vendor, because units is more than 0");
        }
        let Some(attributes) = attributes else { return };
        if out.gpu_units == 0 {
            let pos = units.map_or(gpu.at.key, |at| at.node.pos);
            self.problem(pos, gpu.at.join("units"), "expected more than 0, because attributes are set, got 0");
        }
        let vendor = self
            .fields(&attributes, "GPU attributes", &["vendor"])
            .and_then(|fields| self.required(&fields, "vendor", "nvidia"))
            .and_then(|at| self.fields(&at, "a vendor", &["nvidia"]));
        let Some(vendor) = vendor else { return };
        let Some(nvidia) = vendor.raw("nvidia") else {
            self.required(&vendor, "nvidia", "a list of models, or nothing for any");
            return;
        };
        let models = if nvidia.is_null() { Vec::new() } else { self.list(&nvidia, "models") };
        let mut keys = BTreeSet::new();
        for at in &models {
            if let Some(key) = self.gpu_model(at)
                && !keys.insert(key)
            {
                self.problem(at.node.pos, &at.path, "expected each model once, got it again");
            }
        }
        if models.is_empty() {
            keys.insert("*".to_owned());
        }
        out.gpu_attributes = keys.into_iter().map(|key| (format!("vendor/nvidia/model/{key}"), "true".to_owned())).collect();
    }

    fn gpu_model(&mut self, at: &At) -> Option<String> {
        let fields = self.fields(at, "a GPU model", &["model", "ram", "interface"])?;
        let model = self.required(&fields, "model", "a model such as a100")?;
        let mut key = self.text_if(&model, "a model such as a100 or *", |model| model == "*" || is_name(model, "-_."))?.to_owned();
        if let Some(at) = fields.get("ram") {
            // Vendors' GB are GiB.
            const EXPECTED: &str = "a whole number of Gi such as 80Gi";
            let text = self.text(&at, EXPECTED)?;
            let gib = text.strip_suffix("Gi").or_else(|| text.strip_suffix("GB")).and_then(|gib| gib.parse::<u16>().ok());
            match gib.filter(|gib| *gib > 0) {
                Some(gib) => key.push_str(&format!("/ram/{gib}Gi")),
                None => self.wrong(&at, EXPECTED),
            }
        }
        if let Some(interface) = fields.get("interface").and_then(|at| self.word(&at, &["pcie", "sxm"])) {
            key.push_str(&format!("/interface/{interface}"));
        }
        Some(key)
    }

    fn placement<'a>(&mut self, at: At<'a>) -> Placement<'a> {
        let mut out = Placement { pricing_pos: None, at, attributes: Vec::new(), all_of: None, any_of: None, pricing: BTreeMap::new() };
        let Some(fields) = self.fields(&out.at, "a placement", &["attributes", "signedBy", "pricing"]) else {
            return out;
        };
        if let Some(at) = fields.get("attributes").filter(|at| !matches!(&at.node.value, yaml::Value::Map(map) if map.is_empty())) {
            for (key, at) in self.named(&at, "attributes") {
                if !is_attribute_key(key) {
                    let message = "expected a key of 2 to 127 letters, digits and '_/.-', beginning with a letter, got another";
                    self.problem(at.key, &at.path, message);
                }
                let value = self.text_if(&at, "a value of 1 to 256 characters", |value| is_line(value) && value.chars().nth(256).is_none());
                out.attributes.push((key.to_owned(), value.unwrap_or_default().to_owned()));
            }
            out.attributes.sort();
        }
        if let Some(signed_by) = fields.get("signedBy").and_then(|at| self.fields(&at, "auditors", &["allOf", "anyOf"])) {
            let mut auditors = |key| signed_by.get(key).map(|at| self.auditors(&at));
            (out.all_of, out.any_of) = (auditors("allOf"), auditors("anyOf"));
        }
        if let Some(pricing) = self.required(&fields, "pricing", "a price for each compute profile used") {
            out.pricing_pos = Some(pricing.key);
            out.pricing = self.named(&pricing, "prices").into_iter().map(|(profile, at)| (profile, self.price(&at))).collect();
        }
        out
    }

    fn auditors(&mut self, at: &At) -> Vec<String> {
        let items = self.list(at, "auditors");
        items.iter().filter_map(|at| self.text_if(at, "an auditor's address", is_line)).map(str::to_owned).collect()
    }

    fn price(&mut self, at: &At) -> Option<Price> {
        const AMOUNT: &str = "an amount per hour such as 100 or 0.5, at most 18 decimals and 64 bits";
        const DENOM: &str = "a denomination such as uve";
        let fields = self.fields(at, "a price", &["denom", "amount"])?;
        let (denom, amount) = (self.required(&fields, "denom", DENOM), self.required(&fields, "amount", AMOUNT));
        let (denom, amount) = (denom?, amount?);
        let text = self.text_if(&denom, DENOM, is_denom);
        let atto = self.text(&amount, AMOUNT).and_then(atto);
        if atto.is_none() {
            self.wrong(&amount, AMOUNT);
        }
        Some(Price { denom: text?.to_owned(), atto: atto?, path: at.path.clone(), denom_pos: denom.node.pos, amount_pos: amount.node.pos })
    }

    // ---- the rest

    fn endpoints<'a>(&mut self, at: &At<'a>) -> Named<'a, At<'a>> {
        let endpoints: Named<_> = self.named(at, "endpoints").into_iter().collect();
        for (name, at) in &endpoints {
            let valid = name.len() > 1
                && name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
            if !valid {
                let message = "expected a name of at least 2 lower case letters, digits, '-' and '_', beginning with a letter, got another";
                self.problem(at.key, &at.path, message);
            }
            if let Some(fields) = self.fields(at, "an endpoint", &["kind"])
                && let Some(kind) = self.required(&fields, "kind", "ip")
            {
                self.word(&kind, &["ip"]);
            }
        }
        endpoints
    }

    fn deployment<'a>(&mut self, at: &At<'a>) -> Vec<Deployed<'a>> {
        let mut deployed = Vec::new();
        for (name, service) in self.named(at, "services") {
            let mut uses = Vec::new();
            for (placement, at) in self.named(&service, "placements") {
                let Some(fields) = self.fields(&at, "a profile and a count", &["profile", "count"]) else {
                    continue;
                };
                let profile = self.required(&fields, "profile", "a compute profile");
                let count = self.required(&fields, "count", "a whole number, at least 1");
                let count = count.and_then(|at| self.integer(&at, 1, u32::MAX)).unwrap_or(1);
                if let Some(profile) = profile.filter(|at| self.text(at, "a compute profile").is_some()) {
                    uses.push(Use { at, placement, profile, count });
                }
            }
            uses.sort_by_key(|used| used.placement);
            deployed.push(Deployed { service, name, uses });
        }
        deployed.sort_by_key(|deployed| deployed.name);
        deployed
    }

    fn reclamation(&mut self, at: &At) -> Option<u64> {
        // What the chain takes.
        const MAX: u64 = 365 * 24 * 3600;
        const EXPECTED: &str = "a time such as 24h, 1h30m or 90s, more than 0 and at most 8760h";
        let fields = self.fields(at, "reclamation", &["min_window"])?;
        let at = self.required(&fields, "min_window", EXPECTED)?;
        let seconds = self.text(&at, EXPECTED).and_then(window_seconds).filter(|seconds| *seconds <= MAX);
        if seconds.is_none() {
            self.wrong(&at, EXPECTED);
        }
        seconds
    }
}
