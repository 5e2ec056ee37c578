//! What the REST server offers, for people and tools: an OpenAPI document and a page, both made from the descriptors.

use super::api::SERVICES;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use proto::rest::{Route, routes};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::LazyLock;

/// How deep query parameters reach into messages of the request: `pagination.limit`.
const PARAMETER_DEPTH: u32 = 3;

/// True for routes whose service is served.
pub fn served(route: &Route) -> bool {
    SERVICES.contains(&service(route))
}

fn service(route: &Route) -> &str {
    route.rpc[1..].split('/').next().expect("split yields at least one part")
}

/// `{denom=**}` → `{denom}`
fn path(template: &str) -> String {
    let plain = |part: &str| match part.strip_prefix('{').and_then(|p| p.split_once('=')) {
        Some((name, _)) => format!("{{{name}}}"),
        None => part.to_owned(),
    };
    template.split('/').map(plain).collect::<Vec<_>>().join("/")
}

/// The OpenAPI document as JSON.
pub fn document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
        let mut schemas = Schemas::default();
        let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
        let mut bindings: BTreeMap<&str, u32> = BTreeMap::new();
        for route in routes().iter().filter(|r| served(r)) {
            let mut operation = operation(route, &mut schemas);
            let nth = bindings.entry(&route.rpc).and_modify(|n| *n += 1).or_insert(1);
            // A method with several paths has an id for each.
            let id = route.rpc[1..].replace(['.', '/'], "_");
            operation["operationId"] = json!(if *nth == 1 { id } else { format!("{id}{nth}") });
            paths.entry(path(&route.template)).or_default().insert(route.method.to_lowercase(), operation);
        }
        json!({
            "openapi": "3.0.3",
            "info": {
                "title": "VirtEngine",
                "version": app::VERSION,
                "description": "Queries and transactions of the chain. The header x-cosmos-block-height asks for an earlier height.",
            },
            "paths": paths,
            "components": { "schemas": schemas.done },
        })
        .to_string()
    });
    &DOCUMENT
}

fn operation(route: &Route, schemas: &mut Schemas) -> Value {
    let message = |name: &str| proto::descriptors().get_message_by_name(name).expect("a route's message is compiled in");
    let input = message(&route.input);
    let in_path: Vec<&str> = route
        .template
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| name.split('=').next().unwrap_or(name))
        .collect();
    let mut parameters: Vec<Value> = in_path
        .iter()
        .map(|name| {
            let field = input.get_field_by_name(name);
            let schema = field.map_or_else(|| json!({ "type": "string" }), |f| schemas.field(&f));
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect();
    if route.body != "*" {
        add_parameters(&input, "", PARAMETER_DEPTH, &in_path, schemas, &mut parameters);
    }
    let answer =
        |description: &str, schema: Value| json!({ "description": description, "content": { "application/json": { "schema": schema } } });
    let mut operation = json!({
        "summary": route.rpc[1..].rsplit('/').next(),
        "tags": [service(route)],
        "parameters": parameters,
        "responses": { "200": answer("the answer", schemas.reference(&message(&route.output))), "default": answer("what went wrong", schemas.status()) },
    });
    if route.body == "*" {
        let schema = schemas.reference(&input);
        operation["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    operation
}

fn add_parameters(message: &MessageDescriptor, prefix: &str, depth: u32, in_path: &[&str], schemas: &mut Schemas, out: &mut Vec<Value>) {
    for field in message.fields() {
        let name = format!("{prefix}{}", field.name());
        match field.kind() {
            _ if in_path.contains(&name.as_str()) => {}
            Kind::Message(inner) if well_known(inner.full_name()).is_none() => {
                if !field.is_list() && depth > 1 {
                    add_parameters(&inner, &format!("{name}."), depth - 1, in_path, schemas, out);
                }
            }
            _ => out.push(json!({ "name": name, "in": "query", "schema": schemas.field(&field) })),
        }
    }
}

/// Messages that JSON shows in a form of their own.
fn well_known(full_name: &str) -> Option<Value> {
    match full_name {
        "google.protobuf.Timestamp" => Some(json!({ "type": "string", "format": "date-time" })),
        "google.protobuf.Duration" => Some(json!({ "type": "string", "example": "3600s" })),
        "google.protobuf.Any" => {
            Some(json!({ "type": "object", "properties": { "@type": { "type": "string" } }, "additionalProperties": true }))
        }
        _ => None,
    }
}

#[derive(Default)]
struct Schemas {
    done: BTreeMap<String, Value>,
}

impl Schemas {
    fn reference(&mut self, message: &MessageDescriptor) -> Value {
        if let Some(schema) = well_known(message.full_name()) {
            return schema;
        }
        let name = message.full_name();
        if !self.done.contains_key(name) {
            // Before its fields, which may refer to it again.
            self.done.insert(name.to_owned(), Value::Null);
            let properties: Map<_, _> = message.fields().map(|f| (f.name().to_owned(), self.field(&f))).collect();
            self.done.insert(name.to_owned(), json!({ "type": "object", "properties": properties }));
        }
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    fn field(&mut self, field: &FieldDescriptor) -> Value {
        let schema = match field.kind() {
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({ "type": "integer", "format": "int32" }),
            Kind::Uint32 | Kind::Fixed32 => json!({ "type": "integer", "format": "int64" }),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({ "type": "string", "format": "int64" }),
            Kind::Uint64 | Kind::Fixed64 => json!({ "type": "string", "format": "uint64" }),
            Kind::Float | Kind::Double => json!({ "type": "number" }),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => json!({ "type": "string", "format": "byte" }),
            Kind::Enum(e) => json!({ "type": "string", "enum": e.values().map(|v| v.name().to_owned()).collect::<Vec<_>>() }),
            Kind::Message(message) => self.reference(&message),
        };
        if field.is_list() { json!({ "type": "array", "items": schema }) } else { schema }
    }

    fn status(&self) -> Value {
        json!({
            "type": "object",
            "properties": {
                "code": { "type": "integer", "description": "of gRPC: 2 unknown, 3 invalid argument, 5 not found, 12 unimplemented" },
                "message": { "type": "string" },
                "details": { "type": "array", "items": {} },
            },
        })
    }
}

/// The page that lists every route; it loads nothing from elsewhere.
pub fn page() -> &'static str {
    static PAGE: LazyLock<String> = LazyLock::new(|| {
        let mut page = String::from(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>VirtEngine REST</title>\
             <meta name=\"viewport\" content=\"width=device-width\"><style>\
             body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
             td{padding:.1rem .8rem .1rem 0;vertical-align:top}code{font-size:14px}h2{font-size:1.1rem}</style>\
             <h1>VirtEngine REST</h1><p>Every route of this node. <a href=\"/swagger/openapi.json\">openapi.json</a> describes \
             requests and answers for tools; the header <code>x-cosmos-block-height</code> asks for an earlier height.</p>",
        );
        let mut groups: BTreeMap<&str, Vec<&Route>> = BTreeMap::new();
        for route in routes().iter().filter(|r| served(r)) {
            groups.entry(service(route)).or_default().push(route);
        }
        for (service, routes) in groups {
            write!(page, "<h2>{service}</h2><table>").expect("a string takes all");
            for route in routes {
                let path = path(&route.template);
                // Without parameters the answer is one click away.
                let shown = match route.method == "GET" && !path.contains('{') {
                    true => format!("<a href=\"{path}\"><code>{path}</code></a>"),
                    false => format!("<code>{path}</code>"),
                };
                write!(page, "<tr><td>{}<td>{shown}", route.method).expect("a string takes all");
            }
            page.push_str("</table>");
        }
        page.push_str("</html>");
        page
    });
    &PAGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_of_the_document_is_defined() {
        fn check(value: &Value, schemas: &Map<String, Value>) {
            match value {
                Value::Object(object) => {
                    if let Some(Value::String(to)) = object.get("$ref") {
                        let name = to.strip_prefix("#/components/schemas/").unwrap();
                        assert!(schemas.get(name).is_some_and(Value::is_object), "{to}");
                    }
                    object.values().for_each(|v| check(v, schemas));
                }
                Value::Array(items) => items.iter().for_each(|v| check(v, schemas)),
                _ => {}
            }
        }
        let document: Value = serde_json::from_str(document()).unwrap();
        check(&document, document["components"]["schemas"].as_object().unwrap());
        let methods = document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
        let mut ids: Vec<&str> = methods.map(|operation| operation["operationId"].as_str().unwrap()).collect();
        assert!(ids.contains(&"virtengine_encryption_v1_Query_RecipientKeys2"));
        ids.sort_unstable();
        let twice: Vec<_> = ids.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(twice.is_empty(), "{twice:?}");
        let balances = &document["paths"]["/cosmos/bank/v1beta1/balances/{address}"]["get"];
        let names: Vec<_> = balances["parameters"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
        assert_eq!(names[0], "address");
        assert!(names.contains(&"pagination.limit"), "{names:?}");
        assert!(document["paths"].as_object().unwrap().keys().all(|p| !p.contains("**")));
        assert!(document["paths"]["/cosmos/gov/v1/proposals"].is_null());
    }

    #[test]
    fn the_page_lists_every_served_route_and_loads_nothing() {
        let page = page();
        assert!(routes().iter().filter(|r| served(r)).all(|r| page.contains(&path(&r.template))));
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("<script"));
    }
}
