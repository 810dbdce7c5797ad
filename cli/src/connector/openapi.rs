//! An OpenAPI document, version 3, as far as a scaffold needs it: servers, security, operations, and what schemas say of records. References within
//! the document are followed; what is not understood is passed over.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// How many references, and how many schemas within each other, are followed.
const DEEPEST: usize = 12;
/// Methods of an operation.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The document.
pub(super) struct Document {
    root: Value,
}

/// One operation of one path.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) path: &'a str,
    pub(super) method: &'static str,
    item: &'a Value,
    body: &'a Value,
}

impl Document {
    /// Reads JSON or YAML.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let root: Value = match serde_json::from_str(text) {
            Ok(root) => root,
            Err(_) => serde_saphyr::from_str(text).context("this is neither JSON nor YAML")?,
        };
        if root.get("swagger").is_some() {
            bail!("this is Swagger 2.0: convert it to OpenAPI 3 first, for example with npx swagger2openapi");
        }
        match root["openapi"].as_str() {
            Some(version) if version.starts_with("3.") => Ok(Self { root }),
            Some(version) => bail!("this is OpenAPI {version}: only version 3 is understood"),
            None => bail!("this is no OpenAPI document: it has no member `openapi`"),
        }
    }

    pub(super) fn title(&self) -> &str {
        self.root["info"]["title"].as_str().unwrap_or("API")
    }

    pub(super) fn version(&self) -> Option<&str> {
        self.root["info"]["version"].as_str()
    }

    /// The first server's address, its variables filled with their defaults; none where it is relative.
    pub(super) fn server(&self) -> Option<String> {
        let server = self.root["servers"].get(0)?;
        let mut url = server["url"].as_str()?.to_owned();
        for (name, variable) in server["variables"].as_object().into_iter().flatten() {
            url = url.replace(&format!("{{{name}}}"), variable["default"].as_str().unwrap_or(name));
        }
        let whole = (url.starts_with("https://") || url.starts_with("http://")) && !url.contains(['{', '?', '#', '@']);
        whole.then(|| url.trim_end_matches('/').to_owned())
    }

    /// Ways to authenticate: those that the document asks for first, then all others.
    pub(super) fn security(&self) -> Vec<&Value> {
        let schemes = &self.root["components"]["securitySchemes"];
        let asked = self.root["security"].as_array().into_iter().flatten().filter_map(Value::as_object).flatten();
        let asked = asked.filter_map(|(name, _)| schemes.get(name));
        let all = schemes.as_object().into_iter().flatten().map(|(_, scheme)| scheme);
        asked.chain(all).map(|scheme| self.resolve(scheme)).collect()
    }

    /// Every operation, in the order of the paths.
    pub(super) fn calls(&self) -> impl Iterator<Item = Call<'_>> {
        let paths = self.root["paths"].as_object().into_iter().flatten();
        paths.flat_map(move |(path, item)| {
            let item = self.resolve(item);
            METHODS.iter().filter_map(move |&method| Some(Call { path, method, item, body: item.get(method)? }))
        })
    }

    /// Names of an operation's parameters of a place (`query`, `header`), and their schemas.
    pub(super) fn parameters<'a>(&'a self, call: Call<'a>, place: &'a str) -> Vec<(&'a str, &'a Value)> {
        let lists = [&call.item["parameters"], &call.body["parameters"]];
        let all = lists.into_iter().filter_map(Value::as_array).flatten().map(|parameter| self.resolve(parameter));
        let here = all.filter(|parameter| parameter["in"] == place);
        here.filter_map(|parameter| Some((parameter["name"].as_str()?, self.resolve(&parameter["schema"])))).collect()
    }

    /// Schema of what an operation answers when all is well.
    pub(super) fn answer<'a>(&'a self, call: Call<'a>) -> Option<&'a Value> {
        let responses = call.body["responses"].as_object()?;
        let (_, good) = responses.iter().find(|(status, _)| status.starts_with('2'))?;
        self.json_schema(&self.resolve(good)["content"])
    }

    /// Whether an answer says that it has a `Link` header.
    pub(super) fn has_link_header(&self, call: Call<'_>) -> bool {
        let responses = call.body["responses"].as_object().into_iter().flatten();
        let mut good = responses.filter(|(status, _)| status.starts_with('2'));
        good.any(|(_, response)| {
            let mut headers = self.resolve(response)["headers"].as_object().into_iter().flatten();
            headers.any(|(name, _)| name.eq_ignore_ascii_case("link"))
        })
    }

    /// Schema of the body that an operation takes as JSON.
    pub(super) fn request<'a>(&'a self, call: Call<'a>) -> Option<&'a Value> {
        self.json_schema(&self.resolve(&call.body["requestBody"])["content"])
    }

    /// Whether an operation takes a body of another kind than JSON only.
    pub(super) fn takes_other_bodies_only(&self, call: Call<'_>) -> bool {
        let content = &self.resolve(&call.body["requestBody"])["content"];
        content.as_object().is_some_and(|content| !content.is_empty()) && self.json_schema(content).is_none()
    }

    fn json_schema<'a>(&'a self, content: &'a Value) -> Option<&'a Value> {
        let is_json = |kind: &str| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind == "application/json" || kind.ends_with("+json") || kind == "*/*"
        };
        let (_, media) = content.as_object()?.iter().find(|(kind, _)| is_json(kind))?;
        Some(self.resolve(&media["schema"]))
    }

    /// Follows references within the document.
    pub(super) fn resolve<'a>(&'a self, mut value: &'a Value) -> &'a Value {
        for _ in 0..DEEPEST {
            let Some(pointer) = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) else { break };
            match self.root.pointer(pointer) {
                Some(target) => value = target,
                None => break,
            }
        }
        value
    }

    /// Members of an object, those of all its parts together. Of alternatives the first object counts.
    pub(super) fn properties<'a>(&'a self, schema: &'a Value) -> BTreeMap<&'a str, &'a Value> {
        let mut properties = BTreeMap::new();
        self.collect(schema, &mut properties, 0);
        properties
    }

    fn collect<'a>(&'a self, schema: &'a Value, into: &mut BTreeMap<&'a str, &'a Value>, depth: usize) {
        let schema = self.resolve(schema);
        if depth >= DEEPEST {
            return;
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            into.entry(name).or_insert_with(|| self.resolve(property));
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.collect(part, into, depth + 1);
        }
        if into.is_empty() {
            let alternatives = ["anyOf", "oneOf"].iter().filter_map(|name| schema[name].as_array()).flatten();
            for alternative in alternatives {
                self.collect(alternative, into, depth + 1);
                if !into.is_empty() {
                    return;
                }
            }
        }
    }

    /// What a list holds, if the schema is one's.
    pub(super) fn items<'a>(&'a self, schema: &'a Value) -> Option<&'a Value> {
        let schema = self.resolve(schema);
        let items = schema.get("items")?;
        is_of(schema, "array").then(|| self.resolve(items))
    }
}

impl<'a> Call<'a> {
    /// Name that the document gives the operation.
    pub(super) fn id(&self) -> Option<&'a str> {
        self.body["operationId"].as_str()
    }

    pub(super) fn is_deprecated(&self) -> bool {
        self.body["deprecated"] == true
    }

    /// Names in braces in its path.
    pub(super) fn path_names(&self) -> impl Iterator<Item = &'a str> {
        self.path.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name)
    }
}

/// Whether a schema has a type; one without a type has any.
pub(super) fn is_of(schema: &Value, kind: &str) -> bool {
    match &schema["type"] {
        Value::Null => true,
        Value::Array(kinds) => kinds.iter().any(|one| one == kind),
        one => one == kind,
    }
}
