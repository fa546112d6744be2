//! Cron jobs.

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Value, value};

use super::cron::{Schedule, is_time_zone};
use super::job;
use crate::check::{self, NON_NEGATIVE, Wrong, not_supported_raw, some, text};
use crate::core::pod::{self, defaults};
use crate::edit::Edit;
use crate::rules::Rules;
use crate::strategy::{Kind, NameRule};

/// A job's name is the cron job's and eleven characters.
const MAX_NAME: usize = 52;

pub static CRON_JOB: Rules = Rules {
    default,
    new_status: Some(|| value!({})),
    validate,
    name: Some(|name, _| {
        let mut wrong: Wrong = check::dns1123_subdomain(name);
        if name.len() > MAX_NAME && wrong.is_none() {
            wrong.add("must be no more than 52 characters");
        }
        wrong
    }),
    warnings: |new, old, out| {
        let of = |o: &Object| o.at(&["spec", "jobTemplate", "spec", "template"]).cloned();
        pod::template_warnings(of(new).as_ref(), old.and_then(of).as_ref(), "spec.jobTemplate.spec.template", out);
    },
    ..Rules::of(Kind::namespaced("batch", "cronjobs", "CronJob").status().generation().names(NameRule::Own))
};

fn default(e: &mut Edit) {
    e.sub_or_new("spec", |spec| {
        spec.default_sym("concurrencyPolicy", "Allow");
        spec.default("suspend", false);
        spec.default("successfulJobsHistoryLimit", 3);
        spec.default("failedJobsHistoryLimit", 1);
        spec.sub_or_new("jobTemplate", |t| {
            t.default("metadata", Value::map());
            t.sub_or_new("spec", |s| {
                s.sub_or_new("template", defaults::template);
                job::default_failure_policy(s);
            });
        });
    });
}

fn validate(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    schedule(text(spec, "schedule"), &path.child("schedule"), errors);
    for name in ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        if let Some(n) = spec.int_at(&[name])
            && n < 0
        {
            errors.invalid(&path.child(name), n, NON_NEGATIVE);
        }
    }
    time_zone(some(spec, "timeZone").and_then(Value::as_str), &path.child("timeZone"), errors);
    match text(spec, "concurrencyPolicy") {
        "" => errors.required(&path.child("concurrencyPolicy"), ""),
        p => drop(check::one_of(p, &["Allow", "Forbid", "Replace"], &path.child("concurrencyPolicy"), errors)),
    }
    let here = path.child("jobTemplate");
    let here = here.child("spec");
    let template = spec.at(&["jobTemplate", "spec"]).unwrap_or(&Value::Null);
    job::validate_spec(template, &here, errors);
    if template.bool_at(&["manualSelector"]) == Some(true) {
        not_supported_raw(errors, &here.child("manualSelector"), "true", &["nil", "false"]);
    }
}

fn schedule(schedule: &str, path: &Path, errors: &mut ErrorList) {
    if schedule.is_empty() {
        return errors.required(path, "");
    }
    if schedule.contains("TZ") {
        return errors.invalid(path, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
    }
    if let Err(err) = Schedule::parse(schedule) {
        errors.invalid(path, schedule, err);
    }
}

fn time_zone(zone: Option<&str>, path: &Path, errors: &mut ErrorList) {
    let Some(zone) = zone else { return };
    if zone.is_empty() {
        return errors.invalid(path, zone, "timeZone must be nil or non-empty string");
    }
    if zone.eq_ignore_ascii_case("local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.invalid(path, zone, detail);
    }
    if zone != "Local" && !is_time_zone(zone) {
        errors.invalid(path, zone, format!("unknown time zone {zone}"));
    }
}
