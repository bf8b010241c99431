//! How long things may take at a site, and how much of the machine an app may.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::Ceilings;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Apps under test that may be live on this Docker engine at once.
    pub max_tests: u32,
    /// Seconds from the keeper's start to the end of its session, the teardown not counted.
    pub session_seconds: u64,
    /// Seconds for a deploy to converge, where neither settings nor the recipe's label say.
    pub deploy_seconds: u64,
    /// Seconds for one hook.
    pub hook_seconds: u64,
    /// Seconds for one test.
    pub test_seconds: u64,
    /// Seconds for the removal of an app.
    pub teardown_seconds: u64,
    /// MiB of memory for each task of an app; 0: three quarters of the machine's.
    pub task_memory_mib: u64,
    /// Processes of each task of an app.
    pub task_processes: u64,
    /// Tasks of an app together.
    pub app_tasks: u64,
    /// MiB of the disk that an app may take: its volumes, what its containers write, their logs.
    pub app_disk_mib: u64,
    /// MiB: where less is free, an app that took most of what is gone is ended.
    pub disk_floor_mib: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_tests: 1,
            session_seconds: 50 * 60,
            deploy_seconds: 600,
            hook_seconds: 300,
            test_seconds: 300,
            teardown_seconds: 240,
            task_memory_mib: 0,
            task_processes: 4096,
            app_tasks: 64,
            app_disk_mib: 20 * 1024,
            disk_floor_mib: 1024,
        }
    }
}

impl Limits {
    pub fn session(&self) -> Duration {
        Duration::from_secs(self.session_seconds)
    }

    pub fn deploy(&self) -> Duration {
        Duration::from_secs(self.deploy_seconds)
    }

    pub fn hook(&self) -> Duration {
        Duration::from_secs(self.hook_seconds)
    }

    pub fn test(&self) -> Duration {
        Duration::from_secs(self.test_seconds)
    }

    /// What a task of an app may take of the machine.
    pub fn ceilings(&self) -> Ceilings {
        let memory_bytes = match self.task_memory_mib {
            0 => {
                let machine = rustix::system::sysinfo();
                let bytes = machine.totalram * u64::from(machine.mem_unit);
                bytes / 4 * 3
            }
            mib => mib * 1024 * 1024,
        };
        Ceilings {
            memory_bytes,
            processes: self.task_processes,
        }
    }

    pub fn teardown(&self) -> Duration {
        Duration::from_secs(self.teardown_seconds)
    }
}
