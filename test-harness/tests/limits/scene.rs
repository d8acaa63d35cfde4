//! What happens to an upstream, and what is asked of it.

use seawall_policy::priority::Priority;

/// A second.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// What upstreams have unless a scene says so.
const SERVERS: u32 = 50;

/// How long requests take.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Service {
    /// Log-normal, with this coefficient of variation.
    LogNormal { cv: f64 },
    /// One of two lengths, in shares of the mean: so many of the short one.
    Two { short: f64, share: f64, long: f64 },
}

/// What is wrong for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Trouble {
    /// Requests are answered by an error at once.
    Errors,
    /// Requests are not answered at all.
    Silence,
    /// One of six is not answered: a host of six is gone.
    Part,
}

/// One scene.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub name: &'static str,
    pub servers: u32,
    /// The mean time of service, in milliseconds.
    pub service_ms: f64,
    pub service: Service,
    pub seconds: u64,
    /// Offered in shares of the capacity at the start: from when, how much of each priority, the least first.
    pub offered: Vec<(u64, [f64; 4])>,
    /// Requests that come all at once: how many, and every how many milliseconds.
    pub bursts: Option<(u32, u64)>,
    /// From this second on service takes so many times as long.
    pub slower: Option<(u64, f64)>,
    /// In this second half of the servers are gone.
    pub halved: Option<u64>,
    /// From, to, what.
    pub trouble: Option<(u64, u64, Trouble)>,
    /// The second of the change after which it is to be stable again.
    pub change: Option<u64>,
    /// Seconds over which goodput and latency are taken.
    pub judged: (u64, u64),
}

/// Equal parts of all priorities.
pub(crate) const fn equal(share: f64) -> [f64; 4] {
    [share / 4.0; 4]
}

/// All of one priority.
pub(crate) const fn critical(share: f64) -> [f64; 4] {
    [0.0, 0.0, share, 0.0]
}

impl Scene {
    /// 50 servers of 50 ms: a thousand requests a second.
    pub(crate) fn new(name: &'static str, offered: [f64; 4]) -> Self {
        Self {
            name,
            servers: SERVERS,
            service_ms: 50.0,
            service: Service::LogNormal { cv: 0.7 },
            seconds: 60,
            offered: vec![(0, offered)],
            bursts: None,
            slower: None,
            halved: None,
            trouble: None,
            change: None,
            judged: (0, 60),
        }
    }

    /// The same in front of another upstream, unless it is made for its own.
    pub(crate) fn at(&self, servers: u32, service_ms: f64) -> Self {
        let mut scene = self.clone();
        if self.servers == SERVERS {
            (scene.servers, scene.service_ms) = (servers, service_ms);
        }
        scene
    }

    /// Requests a second that the upstream can answer at this time.
    pub(crate) fn capacity(&self, at: u64) -> f64 {
        let gone = self.halved.is_some_and(|second| at >= second * SECOND);
        let servers = f64::from(self.servers) / if gone { 2.0 } else { 1.0 };
        servers * 1e3 / self.service_at(at)
    }

    /// The mean time of service at this time, in milliseconds.
    pub(crate) fn service_at(&self, at: u64) -> f64 {
        match self.slower {
            Some((second, times)) if at >= second * SECOND => self.service_ms * times,
            _ => self.service_ms,
        }
    }

    /// Requests a second of a priority at this time.
    pub(crate) fn rate(&self, priority: Priority, at: u64) -> f64 {
        let due = self.offered.iter().rev();
        let due = due.clone().find(|(second, _)| at >= second * SECOND);
        let shares = due.map_or([0.0; 4], |(_, shares)| *shares);
        let [sheddable, sheddable_plus, critical, critical_plus] = shares;
        let share = match priority {
            Priority::Sheddable => sheddable,
            Priority::SheddablePlus => sheddable_plus,
            Priority::Critical => critical,
            Priority::CriticalPlus => critical_plus,
        };
        share * f64::from(self.servers) * 1e3 / self.service_ms
    }

    /// What is offered at this time, in shares of what can be answered then.
    pub(crate) fn load(&self, at: u64) -> f64 {
        let all = Priority::ALL.map(|priority| self.rate(priority, at));
        let bursts = self.bursts.map_or(0.0, |(count, millis)| {
            f64::from(count) * 1e3 / millis as f64
        });
        (all.iter().sum::<f64>() + bursts) / self.capacity(at)
    }

    /// Whether the upstream is in trouble at this time, for this request.
    pub(crate) fn trouble(&self, at: u64, request: u64) -> Option<Trouble> {
        let (from, to, what) = self.trouble?;
        let concerned = what != Trouble::Part || request.is_multiple_of(6);
        let now = (from * SECOND..to * SECOND).contains(&at);
        (now && concerned).then_some(what)
    }

    /// Whether it is in trouble as a whole.
    pub(crate) fn is_down(&self, at: u64) -> bool {
        self.trouble(at, 1).is_some()
    }
}

/// The scenes of the comparison.
pub(crate) fn all() -> Vec<Scene> {
    let scene = Scene::new;
    let steady = scene("steady 0.7C", critical(0.7));
    let twice = Scene {
        judged: (10, 60),
        ..scene("overload 2C", equal(2.0))
    };
    let ten = Scene {
        judged: (10, 60),
        ..scene("overload 10C", [3.167, 3.167, 3.166, 0.5])
    };
    let long = Scene {
        seconds: 300,
        judged: (10, 300),
        ..scene("2C for 5 min", equal(2.0))
    };
    let low = Scene {
        judged: (10, 60),
        ..scene("2C sheddable", [2.0, 0.0, 0.0, 0.0])
    };
    let spike = Scene {
        offered: vec![(0, critical(0.7)), (30, critical(1.4)), (40, critical(0.7))],
        change: Some(30),
        judged: (30, 45),
        ..scene("spike 1.4C, 10 s", critical(0.7))
    };
    let outage = |name, what| Scene {
        trouble: Some((20, 40, what)),
        change: Some(40),
        judged: (40, 60),
        ..scene(name, critical(0.7))
    };
    let part = |name, share| Scene {
        trouble: Some((20, 60, Trouble::Part)),
        judged: (30, 60),
        ..scene(name, share)
    };
    let doubles = Scene {
        slower: Some((20, 2.0)),
        change: Some(20),
        judged: (20, 60),
        ..scene("service x2", critical(0.7))
    };
    let triples = Scene {
        slower: Some((20, 3.0)),
        change: Some(20),
        judged: (20, 60),
        ..scene("service x3", critical(0.7))
    };
    let doubles_light = Scene {
        slower: Some((20, 2.0)),
        change: Some(20),
        judged: (20, 60),
        ..scene("service x2, light", critical(0.35))
    };
    let halves = Scene {
        offered: vec![(0, critical(1.6)), (20, critical(2.6))],
        slower: Some((20, 0.5)),
        change: Some(20),
        judged: (20, 60),
        ..scene("service x0.5", critical(1.6))
    };
    let die = Scene {
        halved: Some(20),
        change: Some(20),
        judged: (20, 60),
        ..scene("half die", critical(0.7))
    };
    let light = Scene {
        servers: 2,
        seconds: 300,
        judged: (0, 300),
        ..scene("light 0.05C", critical(0.05))
    };
    let bimodal = |name, share, from| Scene {
        service: Service::Two {
            short: 0.02,
            share: 0.505,
            long: 2.0,
        },
        judged: (from, 60),
        ..scene(name, critical(share))
    };
    let bursts = Scene {
        bursts: Some((40, 2_000)),
        ..scene("0.6C and bursts", critical(0.6))
    };
    vec![
        steady,
        twice,
        ten,
        long,
        low,
        spike,
        outage("outage, errors", Trouble::Errors),
        outage("outage, silence", Trouble::Silence),
        part("a sixth lost, 0.7C", critical(0.7)),
        part("a sixth lost, 2C", equal(2.0)),
        doubles,
        triples,
        doubles_light,
        halves,
        die,
        light,
        bimodal("bimodal 0.7C", 0.7, 0),
        bimodal("bimodal 2C", 2.0, 10),
        bursts,
    ]
}
