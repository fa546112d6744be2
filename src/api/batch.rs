//! The batch group: jobs, cron jobs, and the parser of cron schedules that the controller uses too.

pub mod cron;
pub mod cronjob;
pub mod job;
