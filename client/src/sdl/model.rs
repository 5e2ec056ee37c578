//! What a deployment file says, once it is known to be right, and what it says to the chain and to the provider.

use super::Problem;
use super::read::ATTO;
use super::yaml::Pos;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The one denomination the chain takes.
const DENOM: &str = "uve";

/// A deployment file that passed every check.
#[derive(Clone)]
pub struct Sdl {
    pub(super) groups: Vec<Group>,
    pub(super) reclamation_seconds: Option<u64>,
}

/// Names alone: environments and credentials are secrets.
impl std::fmt::Debug for Sdl {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_list().entries(self.groups.iter().map(|group| &group.name)).finish()
    }
}

/// A placement with what is deployed there; groups come in the order of their names.
#[derive(Clone)]
pub(super) struct Group {
    pub name: String,
    pub attributes: Attributes,
    pub all_of: Option<Vec<String>>,
    pub any_of: Option<Vec<String>>,
    pub units: Vec<Unit>,
    pub services: Vec<Service>,
}

/// Key and value, in the order of the keys.
pub(super) type Attributes = Vec<(String, String)>;

/// Resources of which a group reserves `count` at `price` each.
#[derive(Clone)]
pub(super) struct Unit {
    pub resources: Resources,
    pub count: u32,
    pub price: Price,
}

#[derive(Clone)]
pub(super) struct Price {
    pub denom: String,
    /// In 10⁻¹⁸ of the denomination.
    pub atto: u128,
    pub path: String,
    pub denom_pos: Pos,
    pub amount_pos: Pos,
}

#[derive(Clone, Default)]
pub(super) struct Resources {
    pub id: u32,
    pub cpu_milli: u64,
    pub cpu_attributes: Attributes,
    pub memory_bytes: u64,
    pub storage: Vec<Storage>,
    pub gpu_units: u64,
    pub gpu_attributes: Attributes,
    pub endpoints: Vec<Endpoint>,
}

#[derive(Clone)]
pub(super) struct Service {
    pub name: String,
    pub image: String,
    pub command: Option<Vec<String>>,
    pub args: Option<Vec<String>>,
    pub env: Option<Vec<String>>,
    pub resources: Resources,
    pub count: u32,
    pub expose: Vec<Expose>,
    pub params: Option<Params>,
    pub credentials: Option<Credentials>,
}

/// One target of one exposed port.
#[derive(Clone)]
pub(super) struct Expose {
    pub port: u16,
    /// The port others see; absent means `port`.
    pub external: Option<u16>,
    pub udp: bool,
    pub service: String,
    pub global: bool,
    pub hosts: Option<Vec<String>>,
    pub http: Value,
    pub ip: String,
    pub ip_sequence: u32,
}

#[derive(Clone, Default)]
pub(super) struct Params {
    pub storage: Vec<Mount>,
    pub permissions: Option<Vec<String>>,
    pub tee: Option<String>,
}

#[derive(Clone)]
pub(super) struct Mount {
    pub volume: String,
    pub path: String,
    pub read_only: bool,
}

#[derive(Clone)]
pub(super) struct Credentials {
    pub host: String,
    pub email: String,
    pub username: String,
    pub password: String,
}

/// A group as the chain takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSpec {
    /// The placement's name.
    pub name: String,
    /// Required provider attributes, sorted by key.
    pub attributes: Vec<(String, String)>,
    /// Auditors who must all have signed the provider's attributes.
    pub signed_by_all: Vec<String>,
    /// Auditors of whom one must have signed them.
    pub signed_by_any: Vec<String>,
    pub resources: Vec<ResourceSpec>,
    /// The most the whole group may cost per hour.
    pub price: PriceSpec,
}

/// Resources that a group reserves `count` times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceSpec {
    /// From 1, in the order of the group's services.
    pub id: u32,
    /// Thousandths of a CPU.
    pub cpu_milli: u64,
    /// `arch`, if it matters.
    pub cpu_attributes: Vec<(String, String)>,
    pub memory_bytes: u64,
    pub storage: Vec<Storage>,
    pub gpu_units: u64,
    /// Models that will do, as `vendor/nvidia/model/a100/ram/80Gi/interface/sxm` = `true`.
    pub gpu_attributes: Vec<(String, String)>,
    pub endpoints: Vec<Endpoint>,
    pub count: u32,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// `default` is the container's own file system.
    pub name: String,
    pub size_bytes: u64,
    /// `class` and `persistent`, if given.
    pub attributes: Vec<(String, String)>,
}

/// A way into a service from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub kind: EndpointKind,
    /// Tells the leased addresses of a deployment apart; 0 for other kinds.
    pub sequence_number: u32,
}

/// The numbers are those of the chain's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointKind {
    /// Port 80 over TCP, by host name through the provider's ingress.
    SharedHttp = 0,
    /// A port of the provider's choice.
    RandomPort = 1,
    /// An address of its own.
    LeasedIp = 2,
}

/// A price per hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceSpec {
    pub denom: String,
    pub amount: u64,
}

impl Sdl {
    /// The groups in the JSON that tools for this file format exchange; prices per unit, as written, with 18 decimals.
    pub fn groups(&self) -> Value {
        self.groups.iter().map(Group::to_json).collect()
    }

    /// What the provider is to run. It contains `env` and `credentials`: secrets.
    pub fn manifest(&self) -> Value {
        let group = |group: &Group| json!({"name": group.name, "services": group.services.iter().map(Service::to_json).collect::<Value>()});
        self.groups.iter().map(group).collect()
    }

    /// What a deployment commits to: SHA-256 of the manifest's canonical JSON.
    pub fn manifest_hash(&self) -> [u8; 32] {
        hash_manifest(&self.manifest())
    }

    /// The notice that a provider must give before it takes resources back, in seconds, if any is asked for.
    pub fn reclamation_seconds(&self) -> Option<u64> {
        self.reclamation_seconds
    }

    /// The groups for the chain: one price per group and hour, `Σ amount × count`, rounded up once.
    ///
    /// # Errors
    /// A price in another denomination than `uve`, or a group whose price is 0 or does not fit 64 bits.
    pub fn specs(&self) -> Result<Vec<GroupSpec>, Vec<Problem>> {
        let mut problems = Vec::new();
        let specs = self.groups.iter().map(|group| group.spec(&mut problems)).collect();
        if problems.is_empty() { Ok(specs) } else { Err(problems) }
    }
}

/// SHA-256 of a manifest's canonical JSON.
pub fn hash_manifest(manifest: &Value) -> [u8; 32] {
    Sha256::digest(canonical_json(manifest)).into()
}

/// JSON with sorted keys and without white space.
pub fn canonical_json(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(canonical_json).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            let fields = fields.iter().map(|(key, value)| format!("{}:{}", json!(key), canonical_json(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        scalar => scalar.to_string(),
    }
}

impl Group {
    fn to_json(&self) -> Value {
        let unit = |unit: &Unit| {
            let amount = format!("{}.{:018}", unit.price.atto / ATTO, unit.price.atto % ATTO);
            json!({"resource": unit.resources.to_json(), "count": unit.count, "price": {"denom": unit.price.denom, "amount": amount}})
        };
        let attributes = if self.attributes.is_empty() { Value::Null } else { attributes_json(&self.attributes) };
        json!({
            "name": self.name,
            "requirements": {"signed_by": {"all_of": self.all_of, "any_of": self.any_of}, "attributes": attributes},
            "resources": self.units.iter().map(unit).collect::<Value>(),
        })
    }

    fn spec(&self, problems: &mut Vec<Problem>) -> GroupSpec {
        let mut total = Some(0u128);
        for Unit { price, count, .. } in &self.units {
            if price.denom != DENOM {
                let message = format!("expected {DENOM}, got {}", price.denom);
                let problem = Problem::new(price.denom_pos, &format!("{}.denom", price.path), message);
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
            total = total.and_then(|total| total.checked_add(price.atto.checked_mul(u128::from(*count))?));
        }
        let amount = total.and_then(|total| u64::try_from(total.div_ceil(ATTO)).ok());
        if let (None | Some(0), Some(unit)) = (amount, self.units.first()) {
            let message = format!(
                "expected the amounts × counts of group {} to add up to 1 … {}, got {}",
                self.name,
                u64::MAX,
                if amount.is_some() { "0" } else { "more" }
            );
            problems.push(Problem::new(unit.price.amount_pos, &format!("{}.amount", unit.price.path), message));
        }
        GroupSpec {
            name: self.name.clone(),
            attributes: self.attributes.clone(),
            signed_by_all: self.all_of.clone().unwrap_or_default(),
            signed_by_any: self.any_of.clone().unwrap_or_default(),
            resources: self.units.iter().map(Unit::spec).collect(),
            price: PriceSpec { denom: DENOM.to_owned(), amount: amount.unwrap_or(0) },
        }
    }
}

impl Unit {
    fn spec(&self) -> ResourceSpec {
        let Resources { id, cpu_milli, cpu_attributes, memory_bytes, storage, gpu_units, gpu_attributes, endpoints } =
            self.resources.clone();
        ResourceSpec { id, cpu_milli, cpu_attributes, memory_bytes, storage, gpu_units, gpu_attributes, endpoints, count: self.count }
    }
}

impl Resources {
    fn to_json(&self) -> Value {
        let endpoint = |endpoint: &Endpoint| match endpoint.kind {
            EndpointKind::SharedHttp => json!({"sequence_number": endpoint.sequence_number}),
            kind => json!({"kind": kind as u32, "sequence_number": endpoint.sequence_number}),
        };
        let volume =
            |volume: &Storage| with_attributes(json!({"name": volume.name, "size": quantity(volume.size_bytes)}), &volume.attributes);
        json!({
            "id": self.id,
            "cpu": with_attributes(json!({"units": quantity(self.cpu_milli)}), &self.cpu_attributes),
            "memory": {"size": quantity(self.memory_bytes)},
            "storage": self.storage.iter().map(volume).collect::<Value>(),
            "gpu": with_attributes(json!({"units": quantity(self.gpu_units)}), &self.gpu_attributes),
            "endpoints": self.endpoints.iter().map(endpoint).collect::<Value>(),
        })
    }
}

impl Service {
    fn to_json(&self) -> Value {
        let mut service = json!({
            "name": self.name,
            "image": self.image,
            "command": self.command,
            "args": self.args,
            "env": self.env,
            "resources": self.resources.to_json(),
            "count": self.count,
            "expose": self.expose.iter().map(Expose::to_json).collect::<Value>(),
        });
        if let Some(params) = &self.params {
            service["params"] = params.to_json();
        }
        service["credentials"] = match &self.credentials {
            Some(Credentials { host, email, username, password }) => {
                json!({"host": host, "email": email, "username": username, "password": password})
            }
            None => Value::Null,
        };
        service
    }
}

impl Expose {
    pub fn endpoints(&self) -> Vec<Endpoint> {
        if !self.global {
            return Vec::new();
        }
        let http = !self.udp && self.external.unwrap_or(self.port) == 80;
        let kind = if http { EndpointKind::SharedHttp } else { EndpointKind::RandomPort };
        let mut endpoints = vec![Endpoint { kind, sequence_number: 0 }];
        if !self.ip.is_empty() {
            endpoints.push(Endpoint { kind: EndpointKind::LeasedIp, sequence_number: self.ip_sequence });
        }
        endpoints
    }

    fn to_json(&self) -> Value {
        json!({
            "port": self.port,
            "externalPort": self.external.unwrap_or(0),
            "proto": if self.udp { "UDP" } else { "TCP" },
            "service": self.service,
            "global": self.global,
            "hosts": self.hosts,
            "httpOptions": self.http,
            "ip": self.ip,
            "endpointSequenceNumber": self.ip_sequence,
        })
    }
}

impl Params {
    fn to_json(&self) -> Value {
        let mount = |mount: &Mount| json!({"name": mount.volume, "mount": mount.path, "readOnly": mount.read_only});
        let storage = if self.storage.is_empty() { Value::Null } else { self.storage.iter().map(mount).collect() };
        let mut params = Map::from_iter([("storage".to_owned(), storage)]);
        if let Some(read) = &self.permissions {
            params.insert("permissions".to_owned(), if read.is_empty() { json!({}) } else { json!({"read": read}) });
        }
        if let Some(tee) = &self.tee {
            params.insert("tee".to_owned(), json!({"type": tee, "attestation": true}));
        }
        Value::Object(params)
    }
}

fn quantity(value: u64) -> Value {
    json!({"val": value.to_string()})
}

fn attributes_json(attributes: &Attributes) -> Value {
    attributes.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}

fn with_attributes(mut value: Value, attributes: &Attributes) -> Value {
    if !attributes.is_empty() {
        value["attributes"] = attributes_json(attributes);
    }
    value
}
