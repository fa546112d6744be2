//! How a member is started: the flags of `etcd` that are modelled.
//!
//! Left out by name: TLS, discovery, auto-compaction, authentication, `--heartbeat-interval` and `--election-timeout` (100 ms
//! and a second), `--initial-corrupt-check`, `--force-new-cluster`.

use std::rc::Rc;

use base::{Seed, hash64};

type Text = Rc<str>;

/// `--quota-backend-bytes`, unless it is set.
pub const DEFAULT_QUOTA: i64 = 2 << 30;

/// A member's flags.
#[derive(Clone, Debug)]
pub struct MemberConfig {
    pub name: Text,
    /// `--initial-advertise-peer-urls`: where the other members find it.
    pub peer_url: Text,
    /// `--advertise-client-urls`
    pub client_url: Text,
    /// `--initial-cluster`: names and peer URLs.
    pub initial_cluster: Vec<(Text, Text)>,
    /// `--initial-cluster-state=existing`: it joins a cluster that has added it.
    pub existing: bool,
    /// `--initial-cluster-token`
    pub token: Text,
    /// `--quota-backend-bytes`; 0: none.
    pub quota: i64,
    /// `--snapshot-count`: entries of the log after which it is shortened.
    pub snapshot_count: u64,
    pub seed: Seed,
}

impl MemberConfig {
    /// A cluster of one.
    pub fn alone(name: &str) -> MemberConfig {
        let (peer_url, client_url): (Text, Text) = ("https://127.0.0.1:2380".into(), "https://127.0.0.1:2379".into());
        MemberConfig {
            name: name.into(),
            initial_cluster: vec![(name.into(), peer_url.clone())],
            peer_url,
            client_url,
            existing: false,
            token: "etcd-cluster".into(),
            quota: 0,
            snapshot_count: 10_000,
            seed: Seed(hash64(name.as_bytes())),
        }
    }

    /// From a command line. Flags that say where files and sockets are have no effect here.
    ///
    /// # Errors
    /// What `etcd` says before it exits.
    pub fn from_args(args: &[Text], hostname: &str, seed: Seed) -> Result<MemberConfig, String> {
        let flag = |name: &str| args.iter().rev().find_map(|a| a.strip_prefix("--")?.strip_prefix(name)?.strip_prefix('='));
        let name = flag("name").unwrap_or(if hostname.is_empty() { "default" } else { hostname });
        let mut config = MemberConfig { seed: seed.derive(name), quota: DEFAULT_QUOTA, ..MemberConfig::alone(name) };
        if let Some(url) = flag("initial-advertise-peer-urls") {
            config.peer_url = first(url);
        }
        if let Some(url) = flag("advertise-client-urls") {
            config.client_url = first(url);
        }
        config.initial_cluster = match flag("initial-cluster") {
            Some(list) => parse_cluster(list)?,
            None => vec![(config.name.clone(), config.peer_url.clone())],
        };
        config.existing = match flag("initial-cluster-state") {
            None | Some("new") => false,
            Some("existing") => true,
            Some(other) => return Err(format!("invalid value {other:?} for initial-cluster-state")),
        };
        config.token = flag("initial-cluster-token").map_or(config.token, Into::into);
        config.quota = number(flag("quota-backend-bytes"), "quota-backend-bytes", DEFAULT_QUOTA)?;
        config.snapshot_count = number(flag("snapshot-count"), "snapshot-count", 10_000)?.max(1) as u64;
        if !config.existing && config.initial_cluster.iter().all(|(n, _)| *n != config.name) {
            return Err(format!("couldn't find local name {:?} in the initial cluster configuration", config.name));
        }
        Ok(config)
    }

    /// The number that a new cluster gives to a member. A cluster of one that was never told its address is known by its name.
    pub fn id_of(&self, name: &str, peer_url: &str) -> u64 {
        match self.initial_cluster.len() {
            1 if peer_url.contains("//127.0.0.1") => hash64(name.as_bytes()),
            _ => member_id(peer_url, &self.token),
        }
    }
}

/// A member's number: from its peer URL and the cluster's token.
pub fn member_id(peer_url: &str, salt: &str) -> u64 {
    hash64(format!("{peer_url}{salt}").as_bytes()) | 1
}

fn first(urls: &str) -> Text {
    urls.split(',').next().unwrap_or(urls).into()
}

fn number(text: Option<&str>, name: &str, default: i64) -> Result<i64, String> {
    text.map_or(Ok(default), |t| t.parse().map_err(|_| format!("invalid value {t:?} for flag -{name}: parse error")))
}

/// `cp-1=https://172.18.0.2:2380,cp-2=…`
fn parse_cluster(list: &str) -> Result<Vec<(Text, Text)>, String> {
    let one = |pair: &str| {
        let (name, url) = pair.split_once('=').ok_or_else(|| format!("error setting up initial cluster: {pair:?}"))?;
        Ok((name.into(), url.into()))
    };
    list.split(',').map(one).collect()
}
