//! One Service from its clients to its endpoints, and the last request that went this way.

use protocol::{Choice, Ghost, Glyph, State, Thing};

use super::PodSeen;

/// Everything that the Service network lens draws.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceSeen {
    pub choices: Vec<Choice>,
    pub title: String,
    pub service: Option<Thing>,
    pub clients: Vec<Place>,
    pub name: NameSeen,
    pub addresses: Vec<Place>,
    pub table: TableSeen,
    /// `app=MyApp`
    pub selector: Vec<String>,
    pub endpoints: Vec<EndpointSeen>,
    pub more_endpoints: usize,
    /// The NetworkPolicies that select endpoints, each with who enforces it, or that nobody does.
    pub policies: Vec<Place>,
    /// The last request, hop by hop.
    pub hops: Vec<HopSeen>,
    /// What the goal of a lab's step still lacks.
    pub ghosts: Vec<Ghost>,
}

/// A box with a name and a line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    pub id: String,
    pub title: String,
    pub line: String,
    pub state: State,
    pub glyph: Glyph,
    pub opens: Option<Thing>,
    /// The last request passed here.
    pub chosen: bool,
}

/// The name and who answers for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NameSeen {
    pub id: String,
    /// `my-service.default.svc`
    pub fqdn: String,
    /// `A 10.96.14.3`
    pub record: String,
    pub servers: Vec<PodSeen>,
    /// The server that was asked last.
    pub asked: Option<String>,
}

/// The rules that kube-proxy has written on one node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableSeen {
    /// `kube-proxy/node-1`
    pub id: String,
    pub node: String,
    pub note: String,
    /// One for each endpoint.
    pub rows: Vec<Place>,
    /// Why there is no row.
    pub empty: Option<String>,
}

/// A pod that is, or nearly is, an endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointSeen {
    pub pod: PodSeen,
    /// `10.244.1.3:80 · node-1`
    pub line: String,
    /// The pod's label for each part of the selector, and whether it matches.
    pub labels: Vec<(String, bool)>,
    /// Row of the table that leads here.
    pub row: Option<usize>,
    pub chosen: bool,
}

/// One step of the last request with the reason for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HopSeen {
    pub title: String,
    pub reason: String,
    pub state: State,
    pub glyph: Glyph,
    pub opens: Option<Thing>,
}
