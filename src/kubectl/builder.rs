//! Which objects a command is about: names, types, selectors, files. Models `cli-runtime/pkg/resource.Builder`.

use base::Sort as _;
use std::rc::Rc;

use apimachinery::{List, Object, ObjectKey, Request, Verb, key};

use crate::ctx::{Ctx, Event, Res, Stop, fail};
use crate::docs::{self, Checks, Parsed, Source};
use crate::error::{Error, aggregate};
use crate::mapper::{Mapping, no_match};
use crate::{FileError, cmd::kustomize};

pub(crate) const NOTHING_GIVEN: &str = "You must provide one or more resources by argument or filename.
Example resource specifications include:
   '-f rsrc.yaml'
   '--filename=rsrc.json'
   '<resource> <name>'
   '<resource>'";

/// One object that a command is about.
#[derive(Clone, Debug)]
pub(crate) struct Info {
    pub mapping: Rc<Mapping>,
    /// Empty for what is cluster-wide.
    pub namespace: Rc<str>,
    pub name: Rc<str>,
    /// The file it came from; empty for what was named.
    pub source: Rc<str>,
    /// As in the file, or as the server has it.
    pub object: Object,
}

impl Info {
    pub fn key(&self) -> ObjectKey {
        ObjectKey { namespace: self.namespace.clone(), name: self.name.clone() }
    }
    /// `deployment.apps/web`
    pub fn label(&self) -> String {
        format!("{}/{}", self.mapping.kind_group(), self.name)
    }
    pub fn from_object(mapping: Rc<Mapping>, object: Object, source: &str) -> Info {
        let k = object.key();
        Info { mapping, namespace: k.namespace, name: k.name, source: source.into(), object }
    }
}

/// How to find the objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Select {
    pub args: Vec<String>,
    pub selector: String,
    pub field_selector: String,
    /// A type alone means all its objects.
    pub all: bool,
    pub all_namespaces: bool,
    /// Objects that were named are fetched; else they come without a body.
    pub fetch: bool,
    /// Objects in files are fetched as well.
    pub latest: bool,
    /// Nothing is asked of the server (`--local`).
    pub local: bool,
    pub checks: Option<Checks>,
    pub ignore_not_found: bool,
    pub subresource: String,
}

impl Select {
    /// From the flags that most commands share.
    pub fn of(ctx: &Ctx) -> Select {
        let flags = &ctx.flags;
        Select {
            args: flags.args.clone(),
            selector: flags.str("selector").into(),
            field_selector: flags.str("field-selector").into(),
            all: flags.bool("all"),
            all_namespaces: flags.bool("all-namespaces"),
            local: flags.bool("local"),
            fetch: true,
            ..Select::default()
        }
    }
}

/// What the words after the command name.
#[derive(Clone, Debug)]
pub(crate) enum Named {
    /// Objects of a type: these names, or (empty) those selected.
    Types(Vec<Rc<Mapping>>, Vec<String>),
    /// `TYPE/NAME …`
    Pairs(Vec<(Rc<Mapping>, String)>),
    Nothing,
}

impl Ctx<'_> {
    /// Whether `-f` or `-k` was given.
    pub fn has_files(&self) -> bool {
        !self.flags.list("filename").is_empty() || !self.flags.str("kustomize").is_empty()
    }

    /// The texts of `-f` and `-k`.
    pub fn sources(&mut self) -> Res<Vec<Source>> {
        let paths = self.flags.list("filename");
        let kustomization = self.flags.str("kustomize").to_string();
        if !kustomization.is_empty() {
            if !paths.is_empty() {
                return fail("only one of '--filename' or '--kustomize' allowed");
            }
            let text = kustomize::build(self, &kustomization)?;
            return Ok(vec![Source { name: kustomization.as_str().into(), text: text.into() }]);
        }
        let recursive = self.flags.bool("recursive");
        let mut sources = Vec::new();
        for path in paths {
            if path == "-" {
                let bytes = self.read_stdin()?;
                let text: Rc<str> = String::from_utf8_lossy(&bytes).into();
                sources.push(Source { name: "STDIN".into(), text });
            } else if path.starts_with("http://") || path.starts_with("https://") {
                return fail(format!("unable to read URL {path:?}: nothing outside this bottle can be reached"));
            } else {
                self.read_path(&path, recursive, true, &mut sources)?;
            }
        }
        Ok(sources)
    }

    fn read_path(&mut self, path: &str, recursive: bool, top: bool, sources: &mut Vec<Source>) -> Res<()> {
        match self.read_file(path)? {
            Ok(bytes) => {
                let text: Rc<str> = String::from_utf8_lossy(&bytes).into();
                sources.push(Source { name: path.into(), text });
                Ok(())
            }
            Err(FileError::NotFound) => fail(format!("the path \"{path}\" does not exist")),
            Err(FileError::Permission) => fail(format!("open {path}: permission denied")),
            Err(FileError::IsDirectory | FileError::NotADirectory) => {
                if !top && !recursive {
                    return Ok(());
                }
                let Ok(entries) = self.list_dir(path)? else { return fail(format!("the path \"{path}\" does not exist")) };
                let mut entries: Vec<_> = entries.iter().cloned().collect();
                entries.order_by(|a, b| a.name.cmp(&b.name));
                let base = path.trim_end_matches('/');
                for entry in entries {
                    let manifest = [".json", ".yaml", ".yml"].iter().any(|end| entry.name.ends_with(end));
                    if manifest && !entry.is_dir || entry.is_dir && recursive {
                        self.read_path(&format!("{base}/{}", entry.name), recursive, false, sources)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// A document as an [`Info`]: its resource, and the namespace it goes to.
    pub fn info_of(&mut self, parsed: &Parsed) -> Res<Info> {
        let (source, object) = match parsed {
            Ok((source, object)) => (source, object),
            Err(error) => return Err(error.clone().into()),
        };
        let gvk = object.gvk();
        let Some(mapping) = self.kind(gvk)? else {
            return Err(no_match(gvk, object.name(), object.namespace(), source).into());
        };
        self.place(mapping, object.clone(), source)
    }

    /// Puts an object into the namespace of the command, or checks that it is there.
    pub fn place(&mut self, mapping: Rc<Mapping>, mut object: Object, source: &str) -> Res<Info> {
        if !mapping.namespaced {
            return Ok(Info::from_object(mapping, object, source));
        }
        let explicit = self.flags.changed("namespace");
        if object.namespace().is_empty() {
            let namespace = self.namespace()?;
            object.set_at(&["metadata", "namespace"], &namespace);
        } else if explicit && object.namespace() != self.flags.str("namespace") {
            return fail(format!(
                "the namespace from the provided object \"{0}\" does not match the namespace \"{1}\". You must pass '--namespace={0}' to perform this operation.",
                object.namespace(),
                self.flags.str("namespace")
            ));
        }
        Ok(Info::from_object(mapping, object, source))
    }

    /// The objects of the files; errors of documents are collected.
    pub fn file_infos(&mut self, sources: &[Source], checks: Checks) -> Res<(Vec<Info>, Vec<Error>)> {
        let (mut infos, mut errors) = (Vec::new(), Vec::new());
        let selector = self.flags.str("selector").to_string();
        let selector = match selector.is_empty() || self.flags.command == "expose" || self.flags.command == "run" {
            true => None,
            false => match apimachinery::labels::Selector::parse(&selector) {
                Ok(selector) => Some(selector),
                Err(text) => return fail(text),
            },
        };
        for parsed in sources.iter().flat_map(|source| docs::objects(source, checks)) {
            match self.info_of(&parsed) {
                Ok(info) if selector.as_ref().is_none_or(|s| s.matches(info.object.labels())) => infos.push(info),
                Ok(_) => {}
                Err(Stop::Err(error)) => errors.push(*error),
                Err(stop) => return Err(stop),
            }
        }
        Ok((infos, errors))
    }

    /// What the words after the command mean.
    pub fn named(&mut self, args: &[String]) -> Res<Named> {
        let Some(first) = args.first() else { return Ok(Named::Nothing) };
        if args.iter().any(|arg| arg.contains('/')) {
            let mut pairs = Vec::new();
            for arg in args {
                let (kind, name) = self.pair(arg)?;
                let mapping = self.resource(&kind)?;
                pairs.push((mapping, name));
            }
            return Ok(Named::Pairs(pairs));
        }
        let mut types = Vec::new();
        for word in first.split(',').filter(|word| !word.is_empty()) {
            let members = if word.contains('.') { Vec::new() } else { self.category(word)? };
            match members.is_empty() {
                true => types.push(self.resource(word)?),
                false => types.extend(members),
            }
        }
        let mut unique: Vec<Rc<Mapping>> = Vec::new();
        for mapping in types {
            if !unique.iter().any(|m| m.gvr == mapping.gvr) {
                unique.push(mapping);
            }
        }
        Ok(Named::Types(unique, args[1..].to_vec()))
    }

    /// Splits `TYPE/NAME`.
    pub fn pair(&mut self, arg: &str) -> Res<(String, String)> {
        let parts: Vec<&str> = arg.split('/').collect();
        match parts.as_slice() {
            [_] => {
                let command = self.flags.path();
                fail(format!(
                    "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. '{command} resource/<resource_name>' instead of '{command} resource resource/<resource_name>'"
                ))
            }
            [kind, name] if !kind.is_empty() && !name.is_empty() => Ok((kind.to_string(), name.to_string())),
            [_, _] => fail("arguments in resource/name form must have a single resource and name"),
            _ => fail("arguments in resource/name form may not have more than one slash"),
        }
    }

    /// All objects that the command is about. Several failures are one error.
    pub fn infos(&mut self, select: &Select) -> Res<Vec<Info>> {
        let (infos, errors) = self.infos_and_errors(select)?;
        match aggregate(errors) {
            Some(error) => Err(error.into()),
            None => Ok(infos),
        }
    }

    /// All objects that can be had, and why the others can't.
    pub fn infos_and_errors(&mut self, select: &Select) -> Res<(Vec<Info>, Vec<Error>)> {
        if self.has_files() {
            if !select.args.is_empty() {
                return fail("when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well");
            }
            let sources = self.sources()?;
            let (mut infos, mut errors) = self.file_infos(&sources, select.checks.unwrap_or(Checks::Decode))?;
            if select.latest && !select.local {
                let mut fetched = Vec::new();
                for info in infos {
                    match self.fetch(&info.mapping, &info.namespace, &info.name, &select.subresource) {
                        Ok(object) => fetched.push(Info { object, ..info }),
                        Err(Stop::Err(error)) => errors.push(*error),
                        Err(stop) => return Err(stop),
                    }
                }
                infos = fetched;
            }
            return Ok((infos, errors));
        }
        if select.local {
            return fail(
                "you must specify resources by --filename when --local is set.\nExample resource specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'",
            );
        }
        match self.named(&select.args)? {
            Named::Nothing => fail(NOTHING_GIVEN),
            Named::Pairs(pairs) => {
                if !select.selector.is_empty() || select.all_namespaces && select.fetch {
                    return match select.selector.is_empty() {
                        true => fail("a resource cannot be retrieved by name across all namespaces"),
                        false => fail("selectors and the all flag cannot be used when passing resource/name arguments"),
                    };
                }
                self.fetch_all(select, pairs)
            }
            Named::Types(types, names) if names.is_empty() => {
                if select.selector.is_empty() && select.field_selector.is_empty() && !select.all {
                    return fail("resource(s) were provided, but no name was specified");
                }
                self.list_all(select, &types)
            }
            Named::Types(types, names) => {
                if !select.selector.is_empty() || !select.field_selector.is_empty() {
                    return fail("name cannot be provided when a selector is specified");
                }
                if select.all_namespaces {
                    return fail("a resource cannot be retrieved by name across all namespaces");
                }
                if types.len() > 1 && self.flags.command == "rollout status" {
                    return fail("rollout status is only supported on individual resources and resource collections");
                }
                let pairs = types.iter().flat_map(|m| names.iter().map(move |n| (m.clone(), n.clone()))).collect();
                self.fetch_all(select, pairs)
            }
        }
    }

    fn fetch_all(&mut self, select: &Select, pairs: Vec<(Rc<Mapping>, String)>) -> Res<(Vec<Info>, Vec<Error>)> {
        let (mut infos, mut errors) = (Vec::new(), Vec::new());
        for (mapping, name) in pairs {
            let namespace = if mapping.namespaced { self.namespace()? } else { key("") };
            let name: Rc<str> = name.as_str().into();
            let fetched = match select.fetch {
                true => self.fetch(&mapping, &namespace, &name, &select.subresource),
                false => Ok(Object::default()),
            };
            match fetched {
                Ok(object) => infos.push(Info { mapping, namespace, name, source: key(""), object }),
                Err(Stop::Err(error)) if error.is_not_found() && select.ignore_not_found => {}
                Err(Stop::Err(error)) => errors.push(*error),
                Err(stop) => return Err(stop),
            }
        }
        Ok((infos, errors))
    }

    /// GET of one object.
    pub fn fetch(&mut self, mapping: &Mapping, namespace: &Rc<str>, name: &Rc<str>, subresource: &str) -> Res<Object> {
        let key = ObjectKey { namespace: namespace.clone(), name: name.clone() };
        self.call(Request::get(mapping.gvr, &key).with_subresource(subresource))
    }

    fn list_all(&mut self, select: &Select, types: &[Rc<Mapping>]) -> Res<(Vec<Info>, Vec<Error>)> {
        let (mut infos, mut errors) = (Vec::new(), Vec::new());
        for mapping in types {
            let request = self.list_request(select, mapping)?;
            match self.list_selected(select, mapping, request) {
                Ok(list) => {
                    infos.extend(list.items.iter().map(|o| Info::from_object(mapping.clone(), o.clone(), "")));
                }
                Err(Stop::Err(error)) => errors.push(*error),
                Err(stop) => return Err(stop),
            }
        }
        Ok((infos, errors))
    }

    /// A list of one type as selected, in the namespace of the command.
    pub fn list_request(&mut self, select: &Select, mapping: &Mapping) -> Res<Request> {
        let namespace = match mapping.namespaced && !select.all_namespaces {
            true => self.namespace()?,
            false => key(""),
        };
        let mut request = Request::list(mapping.gvr, &namespace);
        let text = |t: &str| if t.is_empty() { None } else { Some(Rc::from(t)) };
        request.options.label_selector = text(&select.selector);
        request.options.field_selector = text(&select.field_selector);
        Ok(request)
    }

    pub fn list_selected(&mut self, select: &Select, mapping: &Mapping, request: Request) -> Res<List> {
        self.list(request).map_err(|stop| unable(stop, select, mapping))
    }

    /// Waits for watch events of `stream` in a stage of its own: returns the next one, `None` at its end.
    pub fn next_watch(&mut self, stream: u32) -> Res<Option<apimachinery::WatchEvent>> {
        loop {
            match self.next_event()? {
                (id, Event::Watch(event)) if id == stream => return Ok(Some(event)),
                (id, Event::End) if id == stream => return Ok(None),
                _ => {}
            }
        }
    }

    /// A watch of one object, with its state first.
    pub fn watch_one(&mut self, mapping: &Mapping, namespace: &str, name: &str) -> Res<u32> {
        let mut request = Request { verb: Verb::Watch, gvr: mapping.gvr, namespace: namespace.into(), ..Request::default() };
        request.options.field_selector = Some(format!("metadata.name={name}").into());
        request.options.resource_version_match = Some("NotOlderThan".into());
        request.options.send_initial_events = true;
        request.options.allow_watch_bookmarks = true;
        // Between five and ten minutes, as every reflector.
        request.options.timeout_seconds = Some(300 + (base::hash64(name.as_bytes()) % 300) as i64);
        self.open(request)
    }
}

/// A selector that the server does not like, or a resource that is gone, said as upstream's builder says it.
pub(crate) fn unable(stop: Stop, select: &Select, mapping: &Mapping) -> Stop {
    let Stop::Err(mut error) = stop else { return stop };
    if let Error::Status(status) = &mut *error {
        if status.reason == "BadRequest" && !(select.selector.is_empty() && select.field_selector.is_empty()) {
            status.message = format!(
                "Unable to find {:?} that match label selector {:?}, field selector {:?}: {}",
                mapping.go(),
                select.selector,
                select.field_selector,
                status.message
            );
        } else if status.is_not_found() {
            status.message = format!("Unable to list {:?}: {}", mapping.go(), status.message);
        }
    }
    Stop::Err(error)
}
