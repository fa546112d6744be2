//! Which server, which user, which namespace: the kubeconfig. Models `client-go/tools/clientcmd`.
//!
//! `--kubeconfig`, then `$KUBECONFIG` (a list of files, the first definition of a name wins), then `~/.kube/config`; in a container
//! without any of them, the service account. Left out: exec and auth-provider plugins.

use std::rc::Rc;

use apimachinery::{Credential, Value, value};

use crate::base64;
use crate::ctx::{Ctx, Res, Stop};
use crate::docs;
use crate::error::Error;
use crate::identity::user_of_certificate;

const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What a command needs to know of the kubeconfig.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub server: String,
    /// The namespace of the context, `default` if it has none.
    pub namespace: Rc<str>,
    pub credential: Credential,
}

/// The kubeconfig as a tree, and where it is.
pub(crate) struct KubeConfig {
    pub path: String,
    pub value: Value,
    pub found: bool,
}

fn configuration<T>(text: String) -> Res<T> {
    Err(Error::Configuration(text).into())
}

impl Ctx<'_> {
    /// The kubeconfig, merged. `path` is the file that changes go to.
    pub fn kubeconfig(&mut self) -> Res<KubeConfig> {
        let flag = self.flags.str("kubeconfig").to_string();
        let paths: Vec<String> = if !flag.is_empty() {
            vec![flag.clone()]
        } else if let Some(list) = self.env.var("KUBECONFIG") {
            list.split(':').filter(|p| !p.is_empty()).map(String::from).collect()
        } else {
            vec![format!("{}/.kube/config", self.env.home)]
        };
        let mut merged: Option<Value> = None;
        let mut first = None;
        for path in &paths {
            let Ok(bytes) = self.read_file(path)? else {
                // `kubectl config` makes the file that it is given.
                if !flag.is_empty() && self.flags.path().split(' ').nth(1) != Some("config") {
                    return Err(Error::Plain(format!("stat {flag}: no such file or directory")).into());
                }
                continue;
            };
            first.get_or_insert(path.clone());
            let text = String::from_utf8_lossy(&bytes);
            let value = docs::parse_yaml(&text)
                .map_err(|e| Stop::from(Error::Plain(format!("error loading config file \"{path}\": {e}"))))?;
            match &mut merged {
                None => merged = Some(value),
                Some(all) => merge(all, &value),
            }
        }
        let found = merged.is_some();
        let path = first.or_else(|| paths.last().cloned()).unwrap_or_default();
        Ok(KubeConfig { path, value: merged.unwrap_or_else(empty), found })
    }

    /// Server, credentials and namespace for requests. Read once per command.
    pub fn config(&mut self) -> Res<Rc<Config>> {
        if let Some(config) = self.cached_config()? {
            return Ok(config);
        }
        let file = self.kubeconfig()?;
        let config = match file.found {
            true => Rc::new(self.from_file(&file)?),
            false => Rc::new(self.in_cluster()?),
        };
        self.keep_config(&config);
        Ok(config)
    }

    fn from_file(&mut self, file: &KubeConfig) -> Res<Config> {
        let value = &file.value;
        let flags = self.flags.clone();
        let asked = flags.str("context");
        let name = if asked.is_empty() { value.str_at(&["current-context"]).unwrap_or("") } else { asked };
        let context = named(value, "contexts", "context", name);
        if context.is_none() && !name.is_empty() {
            return configuration(format!("context was not found for specified context: {name}"));
        }
        let context = context.unwrap_or_default();
        // Some commands have a flag `--user` of their own.
        let own_user = ["create rolebinding", "create clusterrolebinding", "set subject"].contains(&flags.command);
        let given = |flag: &str| if own_user && flag == "user" { "" } else { flags.str(flag) };
        let pick = |flag: &str, field: &str| match given(flag) {
            "" => context.str_at(&[field]).unwrap_or("").to_string(),
            given => given.to_string(),
        };
        let (cluster_name, user_name) = (pick("cluster", "cluster"), pick("user", "user"));
        let cluster = named(value, "clusters", "cluster", &cluster_name);
        if cluster.is_none() && !flags.str("cluster").is_empty() {
            return configuration(format!("cluster {cluster_name:?} does not exist"));
        }
        let user = named(value, "users", "user", &user_name);
        if user.is_none() && !given("user").is_empty() {
            return configuration(format!("auth info {user_name:?} does not exist"));
        }
        let server = match flags.str("server") {
            "" => cluster.unwrap_or_default().str_at(&["server"]).unwrap_or("http://localhost:8080").to_string(),
            given => given.to_string(),
        };
        let namespace = context.str_at(&["namespace"]).filter(|n| !n.is_empty()).unwrap_or("default").into();
        let credential = self.credential(&user.unwrap_or_default())?;
        Ok(Config { server, namespace, credential })
    }

    fn credential(&mut self, user: &Value) -> Res<Credential> {
        let token = match self.flags.str("token") {
            "" => user.str_at(&["token"]).unwrap_or("").to_string(),
            given => given.to_string(),
        };
        // A certificate proves more than a header may claim: upstream sends both and the certificate is looked at first.
        let mut pem = user
            .str_at(&["client-certificate-data"])
            .and_then(base64::decode)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        if let Some(path) = user.str_at(&["client-certificate"]).filter(|_| pem.is_none()) {
            let path = path.to_string();
            match self.read_file(&path)? {
                Ok(bytes) => pem = Some(String::from_utf8_lossy(&bytes).into_owned()),
                Err(_) => {
                    return configuration(format!(
                        "invalid configuration: unable to read client-cert {path}: open {path}: no such file or directory"
                    ));
                }
            }
        }
        Ok(match pem {
            Some(pem) => match user_of_certificate(&pem) {
                Some(user) => Credential::Certificate(Rc::new(user)),
                None => self.env.credential.clone(),
            },
            None if !token.is_empty() => Credential::Bearer(token.as_str().into()),
            None => Credential::Anonymous,
        })
    }

    /// The service account's token and namespace, or the address that nobody listens on.
    fn in_cluster(&mut self) -> Res<Config> {
        let nowhere =
            || Config { server: "http://localhost:8080".into(), namespace: "default".into(), credential: Credential::Anonymous };
        let Some(host) = self.env.var("KUBERNETES_SERVICE_HOST").map(String::from) else {
            let mut config = nowhere();
            config.credential = self.env.credential.clone();
            return Ok(config);
        };
        let port = self.env.var("KUBERNETES_SERVICE_PORT").unwrap_or("443").to_string();
        let Ok(token) = self.read_file(&format!("{SERVICE_ACCOUNT}/token"))? else { return Ok(nowhere()) };
        let namespace = self.read_file(&format!("{SERVICE_ACCOUNT}/namespace"))?;
        let namespace = namespace.map_or("default".into(), |n| String::from_utf8_lossy(&n).trim().to_string());
        let token = String::from_utf8_lossy(&token).trim().to_string();
        let credential = Credential::Bearer(token.as_str().into());
        Ok(Config { server: format!("https://{host}:{port}"), namespace: namespace.as_str().into(), credential })
    }

    /// `--namespace`, or the context's.
    pub fn namespace(&mut self) -> Res<Rc<str>> {
        let flag = self.flags.str("namespace");
        if !flag.is_empty() {
            return Ok(flag.into());
        }
        Ok(self.config()?.namespace.clone())
    }
}

/// The member `field` of the entry called `name`.
pub(crate) fn named(config: &Value, list: &str, field: &str, name: &str) -> Option<Value> {
    let entry = config.list_at(&[list]).iter().find(|entry| entry.str_at(&["name"]) == Some(name))?;
    Some(entry.get(field).cloned().unwrap_or_else(Value::map))
}

/// An empty kubeconfig.
pub(crate) fn empty() -> Value {
    value!({"apiVersion": "v1", "kind": "Config", "clusters": [], "contexts": [], "users": [], "current-context": "", "preferences": {}})
}

/// Adds what `all` does not define yet.
fn merge(all: &mut Value, more: &Value) {
    for list in ["clusters", "contexts", "users"] {
        for entry in more.list_at(&[list]) {
            if !all.list_at(&[list]).iter().any(|e| e.get("name") == entry.get("name")) {
                all.entry(&[list]).list_mut().push(entry.clone());
            }
        }
    }
    if all.str_at(&["current-context"]).unwrap_or("").is_empty()
        && let Some(current) = more.get("current-context")
    {
        all.set_at(&["current-context"], current);
    }
}
