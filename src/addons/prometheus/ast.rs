//! PromQL as a tree. Models `promql/parser/ast.go`.

use std::rc::Rc;

use super::labels::Matcher;

type Text = Rc<str>;

#[derive(Clone, Debug)]
pub enum Expr {
    Number(f64),
    Text(Text),
    Selector(Selector),
    /// `selector[5m]`, in milliseconds.
    Range(Selector, i64),
    Call(&'static super::functions::Function, Vec<Expr>),
    Aggregate(Box<Aggregate>),
    Binary(Box<Binary>),
    Negated(Box<Expr>),
    Paren(Box<Expr>),
}

#[derive(Clone, Debug)]
pub struct Selector {
    pub matchers: Vec<Matcher>,
    pub offset_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AggregateOp {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Group,
    Stddev,
    Topk,
    Bottomk,
    Quantile,
    CountValues,
}

#[derive(Clone, Debug)]
pub struct Aggregate {
    pub op: AggregateOp,
    pub of: Expr,
    pub parameter: Option<Expr>,
    pub labels: Vec<Text>,
    pub without: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
    Unless,
}

impl BinaryOp {
    pub fn is_comparison(self) -> bool {
        use BinaryOp::*;
        matches!(self, Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual)
    }
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }
    /// How strongly it binds.
    pub fn precedence(self) -> u8 {
        use BinaryOp::*;
        match self {
            Or => 1,
            And | Unless => 2,
            Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual => 3,
            Add | Sub => 4,
            Mul | Div | Mod => 5,
            Pow => 6,
        }
    }
}

/// How the two sides of an operation find each other.
#[derive(Clone, Debug, Default)]
pub struct Matching {
    /// `on`: these labels only; else: all but these.
    pub on: bool,
    pub labels: Vec<Text>,
    pub group: Group,
    /// Labels taken from the side of one.
    pub include: Vec<Text>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Group {
    #[default]
    None,
    Left,
    Right,
}

#[derive(Clone, Debug)]
pub struct Binary {
    pub op: BinaryOp,
    pub left: Expr,
    pub right: Expr,
    /// `bool`: 0 and 1 instead of filtering.
    pub truth: bool,
    pub matching: Matching,
}

/// What an expression comes to, as Prometheus names it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Scalar,
    Text,
    Vector,
    Matrix,
}

impl Kind {
    pub fn show(self) -> &'static str {
        match self {
            Kind::Scalar => "scalar",
            Kind::Text => "string",
            Kind::Vector => "instant vector",
            Kind::Matrix => "range vector",
        }
    }
}

impl Expr {
    pub fn kind(&self) -> Kind {
        match self {
            Expr::Number(_) => Kind::Scalar,
            Expr::Text(_) => Kind::Text,
            Expr::Selector(_) | Expr::Aggregate(_) => Kind::Vector,
            Expr::Range(..) => Kind::Matrix,
            Expr::Call(function, _) => function.returns,
            Expr::Negated(inner) | Expr::Paren(inner) => inner.kind(),
            Expr::Binary(b) => match (b.left.kind(), b.right.kind()) {
                (Kind::Scalar, Kind::Scalar) => Kind::Scalar,
                _ => Kind::Vector,
            },
        }
    }
}
