//! What a value meets on its way: each frame of the continuation takes it in its own manner.

use super::*;

impl Machine {
    /// Hands a value to a link.
    pub(super) fn give(&mut self, item: Item, link: Rc<Link>, world: &mut World<'_>) {
        let next = link.next.clone();
        match &link.frame {
            Frame::Pipe(id, env) => self.task = Task::Eval(*id, env.clone(), item, next),
            Frame::IndexKey { term, env, item: input, optional } => {
                let frame = Frame::Index { key: item.value, optional: *optional };
                self.then(*term, env.clone(), input.clone(), frame, next);
            }
            Frame::Index { key, optional } => self.index(item, key, *optional, next),
            Frame::SliceFrom { to: Some(to), env, input } => {
                let input = Item { value: input.clone(), track: Track::Off };
                self.then(*to, env.clone(), input, Frame::SliceTo { from: item.value }, next);
            }
            Frame::SliceFrom { to: None, .. } => self.answer(slice_key(item.value, Json::Null), &Track::Off, next),
            Frame::SliceTo { from } => self.answer(slice_key(from.clone(), item.value), &Track::Off, next),
            Frame::Each { optional } => self.iterate(item, *optional, next),
            Frame::Right { op, left, env, item: input } => {
                let track = input.track.clone();
                let frame = Frame::Left { op: *op, right: item.value, track };
                self.then(*left, env.clone(), input.clone().untracked(), frame, next);
            }
            Frame::Left { op, right, track } => {
                let bytes = item.value.own_bytes() + right.own_bytes();
                world.spent += if bytes > 256 { bytes } else { 0 };
                let result = ops::calculate(*op, item.value, right.clone()).map_err(Failure::from);
                self.settle(result, track, next);
            }
            Frame::Negate { track } => {
                let result = ops::negate(&item.value).map_err(Failure::from);
                self.settle(result, track, next);
            }
            Frame::Logic { and, right, env, item: input } => match item.value.is_true() == *and {
                true => {
                    let frame = Frame::Truth { track: input.track.clone() };
                    self.then(*right, env.clone(), input.clone().untracked(), frame, next);
                }
                false => self.answer(Json::Bool(!*and), &input.track, next),
            },
            Frame::Truth { track } => self.answer(Json::Bool(item.value.is_true()), track, next),
            Frame::Alternative { height } => {
                if !item.value.is_true() {
                    return self.back();
                }
                if let Some(Choice::Alternative { found, .. }) = self.choices.get_mut(*height) {
                    *found = true;
                }
                self.task = Task::Return(item, next);
            }
            Frame::If { then, otherwise, env, item: input } => {
                let id = if item.value.is_true() { *then } else { *otherwise };
                self.task = Task::Eval(id, env.clone(), input.clone(), next);
            }
            Frame::Attempt { .. } => self.task = Task::Return(item, next),
            Frame::FoldInit { source, update, extract, env, item: input, reduce } => {
                let height = self.choices.len();
                self.choices.push(match reduce {
                    true => Choice::Reduce { state: Some(item), kont: next.clone() },
                    false => Choice::Foreach { state: Some(item) },
                });
                let frame = Frame::FoldStep { height, update: *update, extract: *extract, env: env.clone() };
                self.then(*source, env.clone(), input.clone().untracked(), frame, next);
            }
            Frame::FoldStep { height, update, extract, env } => {
                let env = EnvLink::add(env, Binding::Value(item.value));
                let state = self.state(*height).and_then(Option::take).unwrap_or_default();
                let frame = Frame::FoldStore { height: *height, extract: *extract, env: env.clone() };
                self.then(*update, env, state, frame, next);
            }
            Frame::FoldStore { height, extract, env } => self.fold_store(item, *height, *extract, env.clone(), next),
            Frame::Bind { body, env, item: input } => {
                let env = EnvLink::add(env, Binding::Value(item.value));
                self.task = Task::Eval(*body, env, input.clone(), next);
            }
            Frame::Native { .. } => self.native(item, &link, world),
            Frame::LimitTo { body, env, item: input } => match item.value.as_number() {
                Some(0.0) => self.back(),
                Some(left) if left > 0.0 => {
                    let height = self.choices.len();
                    self.choices.push(Choice::Limit { left });
                    self.then(*body, env.clone(), input.clone(), Frame::Limit { height }, next);
                }
                _ => self.task = Task::Eval(*body, env.clone(), input.clone(), next),
            },
            Frame::Limit { height } => self.limit(item, *height, next),
            Frame::Collect { height } => {
                world.spent += 24;
                match self.choices.get_mut(*height) {
                    Some(Choice::Collect { items, .. }) => items.push(item.value),
                    _ => debug_assert!(false, "a list that is collected has its choice"),
                }
                self.back();
            }
            Frame::ObjectKey { .. } | Frame::ObjectValue { .. } => self.object_part(item, &link, world),
            Frame::PathEnd { track } => match item.track.path() {
                Some(path) => {
                    world.spent += path.own_bytes();
                    self.answer(path, track, next);
                }
                None => self.fail(format!("Invalid path expression with result {}", excerpt(&item.value, 30)), next),
            },
            Frame::UpdateValue { op, paths, env, item: input } => {
                self.modify(*paths, Update::With(*op, item.value), env.clone(), input.clone(), next);
            }
            Frame::ModifyPath { height, update } => self.modify_path(item, *height, update, next),
            Frame::ModifyStore { height, path } => self.modify_store(item.value, *height, path, next),
        }
    }

    fn index(&mut self, item: Item, key: &Json, optional: bool, next: Kont) {
        if matches!(item.track, Track::Lost) {
            let (key, value) = (excerpt(key, 15), excerpt(&item.value, 30));
            return self.fail(format!("Invalid path expression near attempt to access element {key} of {value}"), next);
        }
        match ops::index(&item.value, key) {
            Ok(value) => {
                let track = item.track.step(|| key.clone());
                if track.depth() > 20_000 {
                    self.stop = Some(Stop::OutOfMemory);
                }
                self.task = Task::Return(Item { value, track }, next);
            }
            Err(_) if optional => self.back(),
            Err(message) => self.fail(message, next),
        }
    }

    fn iterate(&mut self, item: Item, optional: bool, next: Kont) {
        if matches!(item.track, Track::Lost) {
            let value = excerpt(&item.value, 30);
            return self.fail(format!("Invalid path expression near attempt to iterate through {value}"), next);
        }
        match item.value {
            Json::Array(items) => self.each(items, 0, item.track, next),
            Json::Object(object) => {
                let members = object.entries().into_iter().map(|(k, v)| (k.clone(), v.clone())).collect();
                self.each_member(members, 0, item.track, next);
            }
            _ if optional => self.back(),
            value => self.fail(format!("Cannot iterate over {} ({})", value.kind(), excerpt(&value, 15)), next),
        }
    }

    /// Where a `reduce` or `foreach` keeps its state.
    fn state(&mut self, height: usize) -> Option<&mut Option<Item>> {
        match self.choices.get_mut(height) {
            Some(Choice::Reduce { state, .. } | Choice::Foreach { state }) => Some(state),
            _ => None,
        }
    }

    fn fold_store(&mut self, item: Item, height: usize, extract: Option<Id>, env: Env, next: Kont) {
        let Some(extract) = extract else {
            if let Some(state) = self.state(height) {
                *state = Some(item);
            }
            return self.back();
        };
        if let Some(state) = self.state(height) {
            *state = Some(item.clone());
        }
        self.task = Task::Eval(extract, env, item, next);
    }

    fn limit(&mut self, item: Item, height: usize, next: Kont) {
        if let Some(Choice::Limit { left }) = self.choices.get_mut(height) {
            *left -= 1.0;
            if *left <= 0.0 {
                self.choices.truncate(height);
            }
        }
        self.task = Task::Return(item, next);
    }

    /// One more argument of a native function, or (without arguments) its input again.
    fn native(&mut self, given: Item, link: &Link, world: &mut World<'_>) {
        let Frame::Native { native, args, left, got, env, item } = &link.frame else { return };
        let next = link.next.clone();
        let got = if args.is_empty() { None } else { Args::add(given.value, got) };
        let left = left.saturating_sub(1);
        if left > 0 {
            let (env, item) = (env.clone(), item.clone());
            let frame = Frame::Native { native: *native, args: args.clone(), left, got, env: env.clone(), item: item.clone() };
            return self.then(args[left - 1], env, item.untracked(), frame, next);
        }
        let values = Args::list(&got);
        match natives::TABLE[*native as usize].call {
            natives::Call::Function(function) => {
                let result = function(world, item.value.clone(), &values);
                self.settle(result, &item.track, next);
            }
            natives::Call::GetPath => match paths::get(&item.value, &values[0]) {
                Ok(value) => {
                    let keys = values[0].as_array().unwrap_or(&[]);
                    let track = keys.iter().fold(item.track.clone(), |track, key| track.step(|| key.clone()));
                    self.task = Task::Return(Item { value, track }, next);
                }
                Err(message) => self.fail(message, next),
            },
            natives::Call::Range => match (values[0].as_number(), values[1].as_number(), values[2].as_number()) {
                (Some(from), Some(to), Some(by)) => self.range(from, to, by, item.track.clone(), next),
                _ => self.fail("Range bounds must be numeric", next),
            },
        }
    }

    fn object_part(&mut self, given: Item, link: &Link, world: &mut World<'_>) {
        let next = link.next.clone();
        let program = self.program.clone();
        match &link.frame {
            Frame::ObjectKey { id, at, made, env, item } => {
                let Node::Object(members) = &program.nodes[*id as usize] else { return };
                let Json::String(key) = given.value else {
                    let value = given.value;
                    let text = format!("Cannot use {} ({}) as object key", value.kind(), excerpt(&value, 15));
                    return self.fail(text, next);
                };
                let (made, env) = (made.clone(), env.clone());
                let frame = Frame::ObjectValue { id: *id, at: *at, made, key, env: env.clone(), item: item.clone() };
                self.then(members[*at].1, env, item.clone().untracked(), frame, next);
            }
            Frame::ObjectValue { id, at, made, key, env, item } => {
                let Node::Object(members) = &program.nodes[*id as usize] else { return };
                world.spent += 72;
                let mut made = made.clone();
                Rc::make_mut(&mut made).insert(key.clone(), given.value);
                self.object(*id, members, at + 1, made, env.clone(), item.clone(), next);
            }
            _ => {}
        }
    }

    /// A path that is to be changed: its value now goes through the update.
    fn modify_path(&mut self, item: Item, height: usize, update: &Update, next: Kont) {
        let Some(path) = item.track.path() else {
            return self.fail(format!("Invalid path expression with result {}", excerpt(&item.value, 30)), next);
        };
        let Some(Choice::Modify { state, .. }) = self.choices.get(height) else { return self.back() };
        let value = match paths::get(state, &path) {
            Ok(value) => value,
            Err(message) => return self.fail(message, next),
        };
        match update {
            Update::With(op, with) => match ops::calculate(*op, value, with.clone()) {
                Ok(value) => self.modify_store(value, height, &path, next),
                Err(message) => self.fail(message, next),
            },
            Update::By(id, env) => {
                self.choices.push(Choice::ModifyEmpty { height, path: path.clone() });
                let frame = Frame::ModifyStore { height, path };
                self.then(*id, env.clone(), Item { value, track: Track::Off }, frame, next);
            }
        }
    }

    /// The first output of an update counts; what else it had to say is dropped.
    fn modify_store(&mut self, value: Json, height: usize, path: &Json, next: Kont) {
        let empty =
            self.choices[height..].iter().rposition(|c| matches!(c, Choice::ModifyEmpty { height: h, .. } if *h == height));
        if let Some(at) = empty {
            self.choices.truncate(height + at);
        }
        let Some(Choice::Modify { state, .. }) = self.choices.get_mut(height) else { return self.back() };
        match paths::set(std::mem::take(state), path, value) {
            Ok(changed) => {
                *state = changed;
                self.back();
            }
            Err(message) => self.fail(message, next),
        }
    }
}

fn slice_key(from: Json, to: Json) -> Json {
    Json::object([("start", from), ("end", to)])
}
