//! Follows the references between the sections of a deployment file and puts together what each placement gets.

use super::model::{Attributes, Credentials, Expose, Group, Mount, Params, Price, Resources, Service, Unit};
use super::read::{At, Reader};
use super::yaml::Pos;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The `services` section: as written, before anything is deployed.
#[derive(Default)]
pub(super) struct ServiceText<'a> {
    pub image: String,
    pub command: Option<Vec<String>>,
    pub args: Option<Vec<String>>,
    pub env: Option<Vec<String>>,
    pub expose: Vec<ExposeText<'a>>,
    pub params: Option<ParamsText<'a>>,
    pub credentials: Option<Credentials>,
    pub dependencies: Vec<At<'a>>,
}

pub(super) struct ExposeText<'a> {
    pub port: u16,
    pub external: Option<u16>,
    pub udp: bool,
    pub hosts: Option<Vec<At<'a>>>,
    pub http: Value,
    pub to: Vec<Target<'a>>,
}

#[derive(Default)]
pub(super) struct Target<'a> {
    pub global: bool,
    pub service: Option<At<'a>>,
    pub ip: Option<At<'a>>,
}

pub(super) struct ParamsText<'a> {
    pub mounts: Vec<(At<'a>, Mount)>,
    pub permissions: Option<Vec<String>>,
    pub tee: Option<At<'a>>,
}

pub(super) struct Placement<'a> {
    pub at: At<'a>,
    pub attributes: Attributes,
    pub all_of: Option<Vec<String>>,
    pub any_of: Option<Vec<String>>,
    /// Where the prices stand, if there are any.
    pub pricing_pos: Option<Pos>,
    pub pricing: BTreeMap<&'a str, Option<Price>>,
}

pub(super) struct Deployed<'a> {
    pub service: At<'a>,
    pub name: &'a str,
    /// In the order of the placements' names.
    pub uses: Vec<Use<'a>>,
}

/// `count` of a service with a profile in a placement.
pub(super) struct Use<'a> {
    pub at: At<'a>,
    pub placement: &'a str,
    pub profile: At<'a>,
    pub count: u32,
}

pub(super) type Named<'a, T> = BTreeMap<&'a str, T>;

/// The sections, each right in itself as far as no problem was noted.
pub(super) struct Sections<'a> {
    pub services: Named<'a, ServiceText<'a>>,
    pub compute: Named<'a, Resources>,
    pub placements: Named<'a, Placement<'a>>,
    pub endpoints: Named<'a, At<'a>>,
    pub deployed: Vec<Deployed<'a>>,
    /// Since 2.1 services with the same profile share one unit of a group; in 2.0 each has its own.
    pub merge_units: bool,
}

/// What a file may turn into, roughly: without a bound a short one could become gigabytes.
const MAX_MANIFEST_BYTES: usize = 1024 * 1024;

impl Reader {
    pub fn link(&mut self, sections: &Sections) -> Vec<Group> {
        self.check_services(sections);
        self.check_addresses(sections);
        self.check_hosts(sections);
        if weight(sections) > MAX_MANIFEST_BYTES {
            if let Some(first) = sections.deployed.first() {
                let message = format!("expected a manifest of at most {MAX_MANIFEST_BYTES} bytes, got a larger one");
                self.problem(first.service.key, "deployment", message);
            }
            return Vec::new();
        }
        self.check_volumes(sections);
        self.groups(sections)
    }

    fn check_services(&mut self, Sections { services, deployed, .. }: &Sections) {
        let names = || services.keys().copied();
        for service in services.values() {
            let targets = service.expose.iter().flat_map(|expose| &expose.to).filter_map(|to| to.service.as_ref());
            for at in targets.chain(&service.dependencies) {
                if self.text(at, "a service").is_some_and(|name| !services.contains_key(name)) {
                    self.unknown(at.node.pos, &at.path, "a service: ", at.as_text(), names());
                }
            }
        }
        for Deployed { service, name, .. } in deployed {
            if !services.contains_key(name) {
                self.unknown(service.key, &service.path, "a service: ", name, names());
            }
        }
    }

    /// Leased addresses: declared, used, and each port of one used once.
    fn check_addresses(&mut self, Sections { services, endpoints, .. }: &Sections) {
        let (mut used, mut ports) = (BTreeSet::new(), BTreeSet::new());
        for expose in services.values().flat_map(|service| &service.expose) {
            for at in expose.to.iter().filter_map(|to| to.ip.as_ref()) {
                let Some(ip) = self.text(at, "an endpoint") else {
                    continue;
                };
                used.insert(ip);
                if !endpoints.contains_key(ip) {
                    self.unknown(at.node.pos, &at.path, "an endpoint: ", ip, endpoints.keys().copied());
                }
                let port = expose.external.unwrap_or(expose.port);
                if port != 0 && !ports.insert((ip, port, expose.udp)) {
                    let proto = if expose.udp { "UDP" } else { "TCP" };
                    self.problem(at.node.pos, &at.path, format!("expected each port of {ip} once, got {port}/{proto} again"));
                }
            }
        }
        for (name, at) in endpoints.iter().filter(|(name, _)| !used.contains(*name)) {
            self.problem(at.key, &at.path, format!("expected a port exposed to `ip: {name}`, got none"));
        }
    }

    fn check_hosts(&mut self, Sections { services, .. }: &Sections) {
        let mut seen = BTreeSet::new();
        for at in services.values().flat_map(|service| &service.expose).flat_map(|expose| &expose.hosts).flatten() {
            if !seen.insert(at.as_text()) {
                self.wrong(at, "each host name once in a file");
            }
        }
    }

    /// Mounted volumes exist; persistent ones are mounted by some service that gets them.
    fn check_volumes(&mut self, Sections { services, compute, deployed, .. }: &Sections) {
        let mut mounted = BTreeSet::new();
        let mut unmounted = BTreeMap::new();
        for (service, Use { profile, .. }) in uses(deployed) {
            let (Some(service), Some(resources)) = (services.get(service), compute.get(profile.as_text())) else {
                continue;
            };
            let volumes: BTreeMap<_, _> = resources.storage.iter().map(|volume| (volume.name.as_str(), volume)).collect();
            for (at, mount) in service.params.iter().flat_map(|params| &params.mounts) {
                let Some(volume) = volumes.get(mount.volume.as_str()) else {
                    let what = format!("a volume of compute profile {}: ", profile.as_text());
                    self.unknown(at.key, &at.path, &what, &mount.volume, volumes.keys().copied());
                    continue;
                };
                mounted.insert((profile.as_text(), volume.name.as_str()));
                if mount.read_only && volume.attributes.iter().any(|(_, value)| value == "ram") {
                    self.problem(at.node.pos, at.join("readOnly"), "expected false for a volume of class ram, got true");
                }
            }
            for volume in resources
                .storage
                .iter()
                .filter(|volume| volume.attributes.iter().any(|(key, value)| key == "persistent" && value == "true"))
            {
                unmounted.entry((profile.as_text(), volume.name.as_str())).or_insert(profile);
            }
        }
        for ((profile, volume), at) in unmounted.into_iter().filter(|(key, _)| !mounted.contains(key)) {
            let message =
                format!("expected a service that mounts the persistent volume {volume} of profile {profile} (params.storage), got none");
            self.problem(at.node.pos, &at.path, message);
        }
    }

    fn groups(&mut self, sections: &Sections) -> Vec<Group> {
        let Sections { services, compute, placements, deployed, merge_units, .. } = sections;
        let sequences = address_sequences(sections);
        let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
        let mut units: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for (name, Use { at, placement: placement_name, profile, count }) in uses(deployed) {
            let Some(placement) = placements.get(placement_name) else {
                self.unknown(at.key, &at.path, "a placement: ", placement_name, placements.keys().copied());
                continue;
            };
            let Some(resources) = compute.get(profile.as_text()) else {
                self.unknown(profile.node.pos, &profile.path, "a compute profile: ", profile.as_text(), compute.keys().copied());
                continue;
            };
            let price = placement.pricing.get(profile.as_text());
            if let (Some(pos), None) = (placement.pricing_pos, price) {
                let message = format!("expected a price for compute profile {}, got none", profile.as_text());
                self.problem(pos, placement.at.join("pricing"), message);
            }
            let (Some(service), Some(Some(price))) = (services.get(name), price) else {
                continue;
            };

            let group = groups.entry(placement_name).or_insert_with(|| placement.group(placement_name));
            if let Some(tee) = service.params.as_ref().and_then(|params| params.tee.as_ref()) {
                self.tee(tee, resources, group);
            }
            let expose = service.expose(&sequences);
            let endpoints: Vec<_> = expose.iter().flat_map(Expose::endpoints).collect();
            let shared = units.get(&(*placement_name, profile.as_text())).copied().filter(|_| *merge_units);
            let index = shared.unwrap_or(group.units.len());
            let resources = Resources { id: index as u32 + 1, endpoints, ..resources.clone() };
            match group.units.get_mut(index) {
                None => {
                    units.insert((*placement_name, profile.as_text()), index);
                    group.units.push(Unit { resources: resources.clone(), count: *count, price: price.clone() });
                }
                Some(unit) => {
                    unit.resources.endpoints.extend(&resources.endpoints);
                    unit.resources.endpoints.sort_by_key(|endpoint| endpoint.sequence_number);
                    match unit.count.checked_add(*count) {
                        Some(sum) => unit.count = sum,
                        None => self.problem(at.node.pos, at.join("count"), "expected counts of one profile that fit 32 bits, got more"),
                    }
                }
            }
            group.services.push(service.deploy(name, resources, *count, expose));
        }
        groups.into_values().collect()
    }

    /// A service in a trusted execution environment asks it of its whole group.
    fn tee(&mut self, at: &At, resources: &Resources, group: &mut Group) {
        const KEY: &str = "tee/type";
        let tee = at.as_text();
        if tee == "cpu-gpu" && resources.gpu_units == 0 {
            self.problem(at.node.pos, &at.path, "expected cpu, because the compute profile has no gpu, got cpu-gpu");
        }
        match group.attributes.binary_search_by(|(key, _)| key.as_str().cmp(KEY)) {
            Err(index) => group.attributes.insert(index, (KEY.to_owned(), tee.to_owned())),
            Ok(index) if group.attributes[index].1 != tee => {
                let message = format!("expected {} as elsewhere in placement {}, got {tee}", group.attributes[index].1, group.name);
                self.problem(at.node.pos, &at.path, message);
            }
            Ok(_) => {}
        }
    }
}

fn uses<'s, 'a>(deployed: &'s [Deployed<'a>]) -> impl Iterator<Item = (&'a str, &'s Use<'a>)> {
    deployed.iter().flat_map(|deployed| deployed.uses.iter().map(|used| (deployed.name, used)))
}

/// Bytes of the manifest and groups to come, give or take a small factor.
fn weight(Sections { services, compute, deployed, .. }: &Sections) -> usize {
    let texts = |texts: &Option<Vec<String>>| texts.iter().flatten().map(|text| text.len() + 8).sum::<usize>();
    let hosts = |expose: &ExposeText| expose.hosts.iter().flatten().map(|at| at.as_text().len() + 8).sum::<usize>();
    let service = |service: &ServiceText| {
        let expose = service.expose.iter().map(|expose| expose.to.len().max(1) * (hosts(expose) + 256)).sum::<usize>();
        let mounts = service.params.iter().map(|params| params.mounts.len() * 64).sum::<usize>();
        service.image.len() + texts(&service.command) + texts(&service.args) + texts(&service.env) + expose + mounts + 256
    };
    let resources = |resources: &Resources| resources.storage.len() * 128 + resources.gpu_attributes.len() * 64 + 256;
    let services: BTreeMap<_, _> = services.iter().map(|(name, text)| (*name, service(text))).collect();
    let profiles: BTreeMap<_, _> = compute.iter().map(|(name, profile)| (*name, resources(profile))).collect();
    let known = |weights: &BTreeMap<&str, usize>, name: &str| weights.get(name).copied().unwrap_or_default();
    uses(deployed).map(|(name, used)| known(&services, name) + known(&profiles, used.profile.as_text())).sum()
}

/// The number of each leased address. As Akash counts: the position of its last use among all targets but the plainly
/// global ones, sorted by address.
fn address_sequences<'a>(Sections { services, deployed, .. }: &Sections<'a>) -> BTreeMap<&'a str, u32> {
    let deployed = deployed.iter().filter_map(|deployed| services.get(deployed.name));
    let targets = deployed.flat_map(|service| &service.expose).flat_map(|expose| &expose.to);
    let mut addresses: Vec<_> = targets.filter(|to| !to.global || to.ip.is_some()).map(Target::address).collect();
    addresses.sort_unstable();
    addresses.into_iter().zip(1..).collect()
}

impl<'a> Target<'a> {
    fn address(&self) -> &'a str {
        self.ip.as_ref().map_or("", At::as_text)
    }
}

impl Placement<'_> {
    fn group(&self, name: &str) -> Group {
        Group {
            name: name.to_owned(),
            attributes: self.attributes.clone(),
            all_of: self.all_of.clone(),
            any_of: self.any_of.clone(),
            units: Vec::new(),
            services: Vec::new(),
        }
    }
}

impl ServiceText<'_> {
    /// One entry for each target of each port, in the order of service, port, protocol, global before others.
    fn expose(&self, sequences: &BTreeMap<&str, u32>) -> Vec<Expose> {
        let mut all = Vec::new();
        for expose in &self.expose {
            let nowhere = [Target::default()];
            for to in if expose.to.is_empty() { &nowhere[..] } else { &expose.to } {
                let (ip, hosts) = (to.address(), expose.hosts.as_ref());
                all.push(Expose {
                    port: expose.port,
                    external: expose.external,
                    udp: expose.udp,
                    service: to.service.as_ref().map_or("", At::as_text).to_owned(),
                    global: to.global,
                    hosts: hosts.map(|hosts| hosts.iter().map(|at| at.as_text().to_owned()).collect()),
                    http: expose.http.clone(),
                    ip: ip.to_owned(),
                    ip_sequence: if ip.is_empty() { 0 } else { sequences.get(ip).copied().unwrap_or(0) },
                });
            }
        }
        all.sort_by(|a, b| (&a.service, a.port, a.udp, !a.global).cmp(&(&b.service, b.port, b.udp, !b.global)));
        all
    }

    fn deploy(&self, name: &str, resources: Resources, count: u32, expose: Vec<Expose>) -> Service {
        let params = self.params.as_ref().map(|params| Params {
            storage: params.mounts.iter().map(|(_, mount)| mount.clone()).collect(),
            permissions: params.permissions.clone(),
            tee: params.tee.as_ref().map(|at| at.as_text().to_owned()),
        });
        Service {
            name: name.to_owned(),
            image: self.image.clone(),
            command: self.command.clone(),
            args: self.args.clone(),
            env: self.env.clone(),
            resources,
            count,
            expose,
            params,
            credentials: self.credentials.clone(),
        }
    }
}
