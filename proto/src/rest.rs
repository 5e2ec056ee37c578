//! REST paths of the gRPC methods, from their `google.api.http` annotations, and requests built from what a path, a query
//! string and a body say. Answers are `json::to_value(route.output, …)`.

use std::sync::LazyLock;

use percent_encoding::percent_decode_str;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value as ReflectValue};
use serde_json::{Map, Value};

use crate::json;
use crate::schema::{Field, Kind, Message, Scalar, WellKnown, descriptors, schema};

/// One way to reach one method.
#[derive(Debug)]
pub struct Route {
    /// HTTP method: `GET`, `POST`, …
    pub method: String,
    /// As annotated: `/cosmos/bank/v1beta1/balances/{address}`.
    pub template: String,
    /// gRPC path: `/cosmos.bank.v1beta1.Query/AllBalances`.
    pub rpc: String,
    /// Full name of the request message.
    pub input: String,
    /// Full name of the response message.
    pub output: String,
    /// Which field the HTTP body fills: `*` for the whole request, empty for none.
    pub body: String,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    /// One segment into the named field.
    One(String),
    /// All that is left, one segment at least, into the named field.
    Rest(String),
}

/// A request that cannot be understood; gRPC status 3, HTTP status 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    #[error("parsing field {field:?}: {problem}")]
    Parameter { field: String, problem: String },
    #[error("too many values for field {0:?}")]
    Repeated(String),
    #[error("{0}")]
    Body(#[from] json::Error),
}

static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    let http = descriptors().get_extension_by_name("google.api.http").expect("google.api is compiled in");
    let mut routes = Vec::new();
    for method in descriptors().services().flat_map(|s| s.methods().collect::<Vec<_>>()) {
        let options = method.options();
        if let (true, ReflectValue::Message(rule)) = (options.has_extension(&http), &*options.get_extension(&http)) {
            add_rule(&mut routes, &method, rule);
        }
    }
    // Literals before parameters, parameters before the rest of a path: `blocks/latest` before `blocks/{height}`.
    routes.sort_by(|a, b| a.segments.cmp(&b.segments));
    routes
});

fn add_rule(routes: &mut Vec<Route>, method: &MethodDescriptor, rule: &DynamicMessage) {
    let pattern = rule.fields().find(|(field, _)| field.containing_oneof().is_some());
    if let Some((verb, ReflectValue::String(template))) = pattern {
        let body = rule.get_field_by_name("body").and_then(|b| b.as_str().map(str::to_owned)).unwrap_or_default();
        routes.push(Route {
            method: verb.name().to_ascii_uppercase(),
            template: template.clone(),
            rpc: format!("/{}/{}", method.parent_service().full_name(), method.name()),
            input: method.input().full_name().to_owned(),
            output: method.output().full_name().to_owned(),
            body,
            segments: segments(template),
        });
    }
    let more = rule.get_field_by_name("additional_bindings");
    for rule in more.iter().flat_map(|list| list.as_list().unwrap_or_default()).filter_map(ReflectValue::as_message) {
        add_rule(routes, method, rule);
    }
}

fn segments(template: &str) -> Vec<Segment> {
    let parts = template.trim_start_matches('/').split('/');
    parts
        .map(|part| match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
            None => Segment::Literal(part.to_owned()),
            Some(parameter) => match parameter.split_once('=') {
                Some((name, "**")) => Segment::Rest(name.to_owned()),
                Some((name, _)) => Segment::One(name.to_owned()),
                None => Segment::One(parameter.to_owned()),
            },
        })
        .collect()
}

/// Every route, in the order in which they are tried.
pub fn routes() -> &'static [Route] {
    &ROUTES
}

/// Parameters by field name, such as `("pagination.limit", "10")`.
pub type Params = Vec<(String, String)>;

/// The route of an HTTP method and a path without its query string, still percent-encoded, with the path's parameters decoded.
pub fn match_route(method: &str, path: &str) -> Option<(&'static Route, Params)> {
    let parts: Vec<_> = path.strip_prefix('/')?.split('/').map(|part| percent_decode_str(part).decode_utf8_lossy()).collect();
    let mut params = Vec::new();
    'routes: for route in ROUTES.iter().filter(|r| r.method == method) {
        params.clear();
        let mut left = parts.as_slice();
        for segment in &route.segments {
            match (segment, left) {
                (Segment::Literal(expected), [part, rest @ ..]) if expected == part => left = rest,
                (Segment::One(name), [part, rest @ ..]) if !part.is_empty() => {
                    params.push((name.clone(), part.to_string()));
                    left = rest;
                }
                (Segment::Rest(name), [_, ..]) if left != [""] => {
                    params.push((name.clone(), left.join("/")));
                    left = &[];
                }
                _ => continue 'routes,
            }
        }
        if left.is_empty() {
            return Some((route, params));
        }
    }
    None
}

/// The encoded request. `query` holds decoded names and values, in snake_case or camelCase; names that the request does not
/// have are ignored, as are those that the path has given already. `body` is required where the route takes one.
pub fn request_bytes(
    route: &Route,
    path: &[(String, String)],
    query: &[(String, String)],
    body: Option<&Value>,
) -> Result<Vec<u8>, RestError> {
    let index = schema().index(&route.input).expect("a route's request is compiled in");
    let message = &schema().messages[index];
    let mut request = Map::new();
    match (route.body.as_str(), body) {
        ("*", Some(Value::Object(body))) => request = body.clone(),
        ("*", Some(Value::Null) | None) | ("", _) => {}
        ("*", Some(_)) => {
            return json::from_value(&route.input, body.unwrap_or(&Value::Null)).map_err(RestError::Body);
        }
        (field, Some(body)) => drop(request.insert(field.to_owned(), body.clone())),
        (_, None) => {}
    }
    // A body for the whole request leaves nothing to the query string.
    if route.body != "*" {
        for (name, value) in query {
            if !path.iter().any(|(given, _)| given == name) {
                set(&mut request, message, name, value, name, false)?;
            }
        }
    }
    for (name, value) in path {
        set(&mut request, message, name, value, name, true)?;
    }
    Ok(json::from_value(&route.input, &Value::Object(request))?)
}

/// Puts one parameter where its dotted name points to.
fn set(object: &mut Map<String, Value>, message: &Message, name: &str, value: &str, full: &str, replace: bool) -> Result<(), RestError> {
    let (head, rest) = name.split_once('.').map_or((name, None), |(head, rest)| (head, Some(rest)));
    let Some(field) = message.field_named(head).map(|index| &message.fields[index]) else {
        return Ok(());
    };
    if let (Some(rest), Kind::Message(inner), false) = (rest, field.kind, field.list) {
        let inner_object = object.entry(&field.name).or_insert_with(|| Value::Object(Map::new()));
        return match inner_object {
            Value::Object(inner_object) => set(inner_object, &schema().messages[inner], rest, value, full, replace),
            _ => Ok(()),
        };
    }
    if rest.is_some() {
        return Ok(());
    }
    let value = parameter(field, value).map_err(|problem| RestError::Parameter { field: full.to_owned(), problem })?;
    if field.list {
        if let Value::Array(items) = object.entry(&field.name).or_insert_with(|| Value::Array(Vec::new())) {
            items.push(value);
        }
    } else if object.insert(field.name.clone(), value).is_some() && !replace {
        return Err(RestError::Repeated(full.to_owned()));
    }
    Ok(())
}

/// A parameter as the JSON of its field, checked here so that the error names the parameter.
fn parameter(field: &Field, value: &str) -> Result<Value, String> {
    fn check<T: std::str::FromStr>(value: &str, what: &str) -> Result<Value, String> {
        value.parse::<T>().map(|_| Value::from(value)).map_err(|_| format!("expected {what}, got {value:?}"))
    }
    match field.kind {
        Kind::Bool => match value {
            "true" | "1" | "t" | "T" | "TRUE" | "True" => Ok(true.into()),
            "false" | "0" | "f" | "F" | "FALSE" | "False" => Ok(false.into()),
            _ => Err(format!("expected true or false, got {value:?}")),
        },
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => check::<i32>(value, "a 32-bit integer"),
        Kind::Uint32 | Kind::Fixed32 => check::<u32>(value, "an unsigned 32-bit integer"),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => check::<i64>(value, "a 64-bit integer"),
        Kind::Uint64 | Kind::Fixed64 => check::<u64>(value, "an unsigned 64-bit integer"),
        Kind::Float | Kind::Double => value.parse::<f64>().map(Value::from).map_err(|_| format!("expected a number, got {value:?}")),
        Kind::Enum(e) => {
            let known = &schema().enums[e];
            if known.number_of(value).is_some() || value.parse::<i32>().is_ok_and(|n| known.name_of(n).is_some()) {
                return Ok(value.into());
            }
            let names: Vec<_> = known.values.iter().map(|(_, name)| name.as_str()).collect();
            Err(format!("{value:?} is not one of {}", names.join(", ")))
        }
        Kind::Message(m) => match schema().messages[m].well_known {
            Some(WellKnown::Timestamp | WellKnown::Duration) => Ok(value.into()),
            _ => Err(format!("a message cannot be given as {value:?}; name one of its fields")),
        },
        Kind::Bytes if field.scalar == Scalar::Plain => match json::decode_base64(value) {
            Some(_) => Ok(value.into()),
            None => Err(format!("expected base64, got {value:?}")),
        },
        Kind::String | Kind::Bytes => Ok(value.into()),
    }
}
