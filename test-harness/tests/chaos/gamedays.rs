//! Game days: those that ship can be played and are as they say, a record holds what was seen and what was not.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use seawall_harness::gameday::{
    Answers, Happened, Head, Phase, Question, Record, Reply, Scenario, Scripted, Sign, Status,
    Team, last_verified, play, verify, walk,
};

use crate::{on, shipped, stopped};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn gamedays() -> PathBuf {
    examples().join("gamedays")
}

fn scenario(name: &str) -> Scenario {
    let file = gamedays().join(format!("{name}.yaml"));
    Scenario::from_file(&file).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// One that is played once for all tests that need it.
fn database_down() -> (Scenario, Vec<Happened>) {
    static PLAYED: OnceLock<(Scenario, Vec<Happened>)> = OnceLock::new();
    let played = PLAYED.get_or_init(|| {
        let scenario = scenario("database-down");
        let happened = play(&scenario, shipped::module(), on).expect("it can be played");
        (scenario, happened)
    });
    played.clone()
}

fn head() -> Head {
    Head {
        day: "2026-01-31".to_owned(),
        roles: Default::default(),
        reproduce: "seawall gameday run x.yaml".to_owned(),
    }
}

const SHIPPED: [&str; 6] = [
    "bad-deployment",
    "client-flooding",
    "database-down",
    "datacentre-partition",
    "disk-full",
    "service-slow",
];

#[test]
fn all_six_that_ship_name_only_what_is_there_and_each_is_in_the_table() {
    let files = std::fs::read_dir(gamedays()).expect("the game days are there");
    let files = files.map(|file| file.expect("a file").path());
    let mut names: Vec<String> = files
        .filter(|file| file.extension().is_some_and(|ending| ending == "yaml"))
        .filter_map(|file| Some(file.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    assert_eq!(names, SHIPPED);
    let docs = std::fs::read_to_string(examples().join("../docs/gamedays.md")).unwrap();
    for name in SHIPPED {
        let scenario = scenario(name);
        assert!(docs.contains(&format!("| `{name}` |")), "{name}");
        let phases = &scenario.phases;
        assert!(phases.iter().all(|phase| phase.see.all().count() > 0));
        assert!(phases.iter().any(|phase| phase.escalation.is_some()));
        assert!(
            phases
                .iter()
                .map(|phase| phase.questions.len())
                .sum::<usize>()
                >= 3
        );
    }
}

#[test]
fn the_scenario_of_the_documentation_can_be_played_and_holds() {
    let docs = std::fs::read_to_string(examples().join("../docs/gamedays.md")).unwrap();
    let (_, text) = docs.split_once("```yaml\n").expect("a scenario");
    let (text, _) = text.split_once("```").expect("its end");
    let scenario = Scenario::read(text, &gamedays().join("docs.yaml")).unwrap();
    let happened = play(&scenario, shipped::module(), on).unwrap();
    let opened = |happened: &Happened| {
        let mut made = happened.transitions.iter();
        made.any(|made| made.line.contains("closed -> open"))
    };
    assert!(happened[0].holds.iter().all(|held| held.met));
    assert!(!opened(&happened[0]) && opened(&happened[1]));
}

/// What is told of a phase is what the simulation did: its figures, its state, and the lines that should be seen.
#[test]
fn every_phase_is_as_its_scenario_says() {
    let module = shipped::module();
    let played = seawall_harness::parallel::each(SHIPPED.len(), 2, |number| {
        let scenario = scenario(SHIPPED[number]);
        let happened = play(&scenario, module, on).expect("it can be played");
        (scenario, happened)
    });
    for (scenario, happened) in played.expect("all were played") {
        for (phase, happened) in scenario.phases.iter().zip(&happened) {
            let name = format!("{}: {}", scenario.name(), phase.name);
            assert!(!happened.holds.is_empty(), "{name}");
            for held in &happened.holds {
                assert!(held.met, "{name}: {} is {}", held.what, held.found);
            }
            for line in &phase.see.logs {
                let mut made = happened.transitions.iter();
                assert!(made.any(|made| made.line.contains(line)), "{name}: {line}");
            }
        }
    }
}

fn scripted(answers: Answers) -> impl Team {
    Scripted::new(answers, |_, _: &Phase, _: &Happened| true)
}

#[test]
fn a_game_day_is_played_to_its_end_and_its_record_is_read_back() {
    let (scenario, happened) = database_down();
    let file = gamedays().join("answers/database-down.yaml");
    let right = Answers::from_file(&file, &scenario).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("record.json");
    let write = |record: &Record| {
        std::fs::write(&file, serde_json::to_string(record).unwrap()).unwrap();
        let read = std::fs::read_to_string(&file).unwrap();
        serde_json::from_str::<Record>(&read).unwrap()
    };

    let record = write(&walk(
        &scenario,
        happened.clone(),
        &mut scripted(right),
        head(),
    ));
    assert_eq!(record.status, Status::Finished);
    assert!(record.passed && record.gaps.is_empty(), "{:?}", record.gaps);
    assert_eq!(record.score.points, record.score.of);
    let what: Vec<&str> = record
        .timeline
        .iter()
        .map(|moment| moment.what.as_str())
        .collect();
    let at = |text: &str| {
        let found = what.iter().position(|what| what.contains(text));
        found.unwrap_or_else(|| panic!("{text}: {what:?}"))
    };
    assert!(at("inject: The primary database crashes") < at("breaker of db: closed -> open"));
    assert!(at("breaker of db: closed -> open") < at("inject: The replica takes over"));
    assert!(record.timeline.is_sorted_by_key(|moment| moment.at_ms));
    let markdown = record.markdown();
    for text in [
        "| SeawallUpstreamDown",
        "## Timeline",
        "None: everything was seen",
        "Blameless",
        "| success | ",
    ] {
        let text = text.replace("| Seawall", "| `Seawall");
        assert!(markdown.contains(&text), "{text}: {markdown}");
    }

    // A team that sees less, and knows less.
    let wrong = directory.path().join("answers.yaml");
    let text = "phases: [{name: The primary dies, saw: {SeawallUpstreamDown: lee}, answers: {users: Nothing}}]";
    std::fs::write(&wrong, text).unwrap();
    let wrong = Answers::from_file(&wrong, &scenario).unwrap();
    let record = write(&walk(&scenario, happened, &mut scripted(wrong), head()));
    assert!(!record.passed && record.score.points == 1.0);
    let gap = |text: &str| {
        let mut gaps = record.gaps.iter();
        gaps.any(|gap| gap.phase == "The primary dies" && gap.what.contains(text))
    };
    assert!(gap("nobody saw: closed -> open") && gap("answered: Nothing") && gap("no answer"));
    assert!(!gap("SeawallUpstreamDown"), "that was seen");
    assert!(
        record.markdown().contains("An empty list at once"),
        "what would be right"
    );
}

/// A team that ends it when it is asked something in the second phase.
struct Leaves(usize);

impl Team for Leaves {
    fn begin(&mut self, number: usize, _: &Phase, _: &Happened) -> bool {
        self.0 = number;
        true
    }

    fn saw(&mut self, _: &Phase, _: Sign, _: &str) -> Reply {
        match self.0 {
            0 => Reply::Nothing,
            _ => Reply::Interrupted,
        }
    }

    fn answer(&mut self, _: &Phase, question: &Question) -> Reply {
        Reply::Said {
            text: question.right.clone().unwrap_or_default(),
            hinted: true,
        }
    }
}

#[test]
fn an_interrupted_game_day_has_a_record_that_says_so_and_a_hint_costs_half() {
    let (scenario, happened) = database_down();
    let record = walk(&scenario, happened, &mut Leaves(0), head());
    assert_eq!(record.status, Status::Interrupted);
    assert!(!record.passed && record.phases.len() == 2);
    assert_eq!(record.score.points, 0.5);
    assert!(record.markdown().contains("| status | interrupted |"));
}

#[test]
fn a_game_day_that_is_interrupted_while_it_is_simulated_has_a_record_without_phases() {
    let scenario = scenario("database-down");
    let mut requests = 0;
    let happened = play(&scenario, shipped::module(), || {
        requests += 1;
        match requests < 1_000 {
            true => on(),
            false => stopped(),
        }
    });
    let record = walk(&scenario, happened.unwrap(), &mut Leaves(0), head());
    assert_eq!((requests, record.status), (1_000, Status::Interrupted));
    assert!(!record.passed && record.phases.is_empty());
}

/// The shipped scenario with a text in another's place, as if it stood beside it.
fn changed(from: &str, to: &str) -> Result<Scenario, String> {
    let file = gamedays().join("database-down.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{from}");
    Scenario::read(&text.replacen(from, to, 1), &file).map_err(|error| error.to_string())
}

#[test]
fn what_is_misspelt_or_not_there_is_refused_with_its_place() {
    for (from, to, expected) in [
        ("goal:", "gaol:", "unknown field `gaol`"),
        ("  told:", "  tolt:", "phases[0]: unknown field `tolt`"),
        (
            "  - id: closed",
            "  - name: closed",
            "phases[0].questions[0]: unknown field `name`",
        ),
        (
            "    metrics: ['max",
            "    metric: ['max",
            "phases[0].see: unknown field `metric`",
        ),
        ("upstream-down.md", "upstream-up.md", "runbook: "),
        (
            "[SeawallUpstreamDown]",
            "[SeawallUpstreamDow]",
            "phases[1].see.alerts[0]: \"SeawallUpstreamDow\" is no alert of the rules, did you mean \"SeawallUpstreamDown\"?",
        ),
        (
            "(seawall_state)",
            "(seawall_stat)",
            "phases[0].see.metrics[0]: \"seawall_stat\" is no metric of the filter, did you mean \"seawall_state\"?",
        ),
        (
            "upstream:seawall_breaker_refused:ratio_rate2m",
            "upstream:seawall_broken:rate2m",
            "phases[1].see.metrics[0]: \"upstream:seawall_broken:rate2m\" is no recording rule",
        ),
        (
            "[state, open_ms_left]",
            "[state, open_left]",
            "phases[1].see.state_page[1]: \"open_left\"",
        ),
        (
            "[\"closed -> open\"]",
            "[\"closed -> opened\"]",
            "phases[1].see.logs[0]: ",
        ),
        (
            "crash,service=db",
            "crush,service=db",
            "phases[1].inject[0]: ",
        ),
        (
            "heal: true",
            "heal: false",
            "phases[3].inject[0]: expected one of `fault`, `load` and `heal: true`",
        ),
        (
            "right: \"No\"",
            "right: \"Perhaps\"",
            "phases[2].questions[0]: right: \"Perhaps\" is none of its choices: No, Yes",
        ),
        ("at: 4m", "at: 1m", "phases[2].at: expected a later time"),
        (
            "holds: [success>99.9%",
            "holds: [success",
            "phases[0].holds[0]: \"success\" cannot hold",
        ),
        (
            "seawall:\n",
            "experiment: ../experiments/none.yaml\nunused:\n",
            "unknown field `unused`",
        ),
        ("  policy:", "  polcy:", "polcy"),
        ("  scribe:", "  scribes:", "roles: unknown field `scribes`"),
    ] {
        let told = changed(from, to)
            .err()
            .unwrap_or_else(|| panic!("{to} is read"));
        assert!(told.contains(expected), "{to}: {told}");
    }
    let scenario = scenario("database-down");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("answers.yaml");
    for (text, expected) in [
        ("role: {}", "unknown field `role`"),
        ("roles: {scribes: [sam]}", "did you mean \"scribe\"?"),
        (
            "phases: [{name: The primary die}]",
            "phases[0].name: \"The primary die\" is no phase of the scenario, did you mean \"The primary dies\"?",
        ),
        (
            "phases: [{name: The primary dies, saw: {SeawallUp: lee}}]",
            "phases[0].saw: \"SeawallUp\"",
        ),
        (
            "phases: [{name: The primary dies, answers: {user: x}}]",
            "phases[0].answers: \"user\" is no question of this phase, did you mean \"users\"?",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let told = Answers::from_file(&file, &scenario)
            .unwrap_err()
            .to_string();
        assert!(told.contains(expected), "{text}: {told}");
    }
}

#[test]
fn runbooks_say_when_they_were_verified_and_only_by_game_days_that_can_be_played() {
    let directory = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(examples().join("runbooks")).unwrap() {
        let file = file.unwrap().path();
        let said = last_verified(&file).unwrap();
        if said != "never" {
            let (day, command) = said
                .split_once(": `seawall gameday run ")
                .expect("a command");
            assert_eq!(day.len(), "2026-01-31".len(), "{said}");
            let scenario = command.split([' ', '`']).next().expect("a file");
            let read = Scenario::from_file(&examples().join("..").join(scenario));
            read.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
        let copy = directory.path().join("runbook.md");
        std::fs::copy(&file, &copy).unwrap();
        verify(&copy, "2026-01-31", "seawall gameday run x.yaml --seed 1").unwrap();
        let written = "2026-01-31: `seawall gameday run x.yaml --seed 1`";
        assert_eq!(last_verified(&copy).unwrap(), written);
        let before = std::fs::read_to_string(&file).unwrap();
        let (head, tail) = before.rsplit_once(&said).expect("what it says");
        let after = std::fs::read_to_string(&copy).unwrap();
        assert_eq!(after, format!("{head}{written}{tail}"));
    }
}
