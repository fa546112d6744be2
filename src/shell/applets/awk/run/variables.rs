//! awk's variables, arrays and fields, and what setting them does.

use base::Map;
use cri_api::Text;

use super::{Control, Interpreter, Run, Val};
use crate::applets::awk::parse::Expr;

impl Interpreter {
    pub(super) fn array_name(&self, name: &str) -> Text {
        self.frames.last().and_then(|(_, arrays)| arrays.get(name).cloned()).unwrap_or_else(|| name.into())
    }

    pub(super) fn array(&self, name: &str) -> Option<&Map<Text, Val>> {
        self.arrays.get(&self.array_name(name))
    }

    pub(super) fn key(&mut self, index: &[Expr]) -> Run<Text> {
        let mut parts = Vec::with_capacity(index.len());
        for part in index {
            parts.push(self.eval(part)?.text());
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { parts.join(&self.global("SUBSEP")).into() })
    }

    pub(super) fn assign_var(&mut self, name: &str, value: Val) -> Run<()> {
        if let Some((locals, _)) = self.frames.last_mut()
            && let Some(slot) = locals.get_mut(name)
        {
            *slot = value;
            return Ok(());
        }
        let fields = value.number();
        self.vars.insert(name.into(), value);
        if name == "NF" {
            self.fields.resize(fields.clamp(0.0, 100_000.0) as usize, "".into());
            self.rebuild();
        }
        Ok(())
    }

    pub(super) fn assign(&mut self, target: &Expr, value: Val) -> Run<Val> {
        match target {
            Expr::Var(name) => self.assign_var(name, value.clone())?,
            Expr::Field(index) => {
                let n = self.eval(index)?.number();
                if !(0.0..=100_000.0).contains(&n) {
                    return Err(Control::Fail("Access to negative field".into()));
                }
                if n < 1.0 {
                    self.set_record(&value.text());
                } else {
                    let n = n as usize;
                    if self.fields.len() < n {
                        self.fields.resize(n, "".into());
                        self.vars.insert("NF".into(), Val::Number(n as f64));
                    }
                    self.fields[n - 1] = value.text();
                    self.rebuild();
                }
            }
            Expr::Index(array, index) => {
                let key = self.key(index)?;
                let name = self.array_name(array);
                if !self.arrays.contains_key(&name) {
                    self.arrays.insert(name.clone(), Map::new());
                }
                if let Some(array) = self.arrays.get_mut(&name) {
                    array.insert(key, value.clone());
                }
            }
            _ => return Err(Control::Fail("Not assignable".into())),
        }
        Ok(value)
    }

    // ---- expressions ----
}
