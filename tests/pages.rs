//! The pages of `docs/`, held to the code: what they show is taken from it, and what they name is in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder, those that cargo builds apart.
fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry that can be read").path();
        if !path.is_dir() {
            into.push(path);
        } else if !path.ends_with("target") && !path.ends_with("node_modules") {
            files(&path, into);
        }
    }
}

/// What stands between `// [name]` and `// [end]`, without the indent that the markers have; in TOML it is `# [name]`.
fn snippets(source: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open: Option<(String, usize, String)> = None;
    for line in source.lines() {
        let bare = line.trim_start();
        let marker = bare.strip_prefix("// [").or_else(|| bare.strip_prefix("# [")).and_then(|it| it.strip_suffix(']'));
        match (marker, open.take()) {
            (Some("end"), Some((name, _, text))) => assert!(found.insert(name, text).is_none(), "two of one name"),
            (Some(name), None) => open = Some((name.to_owned(), line.len() - bare.len(), String::new())),
            (Some(name), Some(_)) => panic!("[{name}] begins before the last one has ended"),
            (None, Some((name, indent, text))) => {
                let line = line.get(indent..).unwrap_or_default();
                open = Some((name, indent, text + line + "\n"));
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a snippet has no end");
    found
}

/// The blocks of code of a page, and the languages they are in.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let mut pieces = page.split("```");
    let mut blocks = Vec::new();
    while let (Some(_), Some(block)) = (pieces.next(), pieces.next()) {
        blocks.push(block.split_once('\n').expect("a block has lines"));
    }
    blocks
}

/// The words that follow `before` on a page.
fn named<'a>(page: &'a str, before: &str) -> Vec<&'a str> {
    let is_name = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
    page.split(before).skip(1).map(|rest| rest.split(|sign| !is_name(sign)).next().unwrap_or_default()).collect()
}

/// Where each target of a manifest has its source.
fn targets(manifest: &str, folder: &str) -> BTreeMap<String, PathBuf> {
    let text = read(&root().join(folder).join("Cargo.toml"));
    let entries = text.split(manifest).skip(1);
    let quoted = entries.map(|entry| entry.split('"').skip(1).step_by(2).take(2).collect::<Vec<_>>());
    quoted.map(|names| (names[0].to_owned(), root().join(folder).join(names[1]))).collect()
}

#[test]
fn the_recipes_show_what_runs() {
    let page = read(&root().join("docs/recipes.md"));
    let mut sources = targets("[[example]]", "examples");
    sources.extend(targets("[[test]]", "tests"));
    let mut shown = BTreeSet::new();
    for section in page.split("\n## ").skip(1) {
        let title = section.lines().next().unwrap_or_default();
        let mut run = named(section, "cargo run --example ");
        run.extend(named(section, "cargo test -p tower-aoai-tests --test "));
        assert!(!run.is_empty() || blocks(section).is_empty(), "{title}: no command to run it");
        let mut code = BTreeMap::new();
        for name in &run {
            let source = sources.get(*name).unwrap_or_else(|| panic!("{title}: there is no {name}"));
            code.extend(snippets(&read(source)).into_iter().map(|(snippet, text)| (text, (*name, snippet))));
        }
        for (language, block) in blocks(section) {
            if language == "sh" {
                continue;
            }
            let place = code.get(block).unwrap_or_else(|| panic!("{title}: none of {run:?} has this:\n{block}"));
            assert!(shown.insert((place.0.to_owned(), place.1.clone())), "{title}: {place:?} is shown twice");
        }
    }
    for (name, source) in &sources {
        let is_meant = ["recipes", "integrations", "users"]
            .iter()
            .any(|folder| source.parent().is_some_and(|it| it.ends_with(folder)));
        if is_meant {
            for snippet in snippets(&read(source)).into_keys() {
                assert!(
                    shown.contains(&(name.clone(), snippet.clone())),
                    "the page does not show [{snippet}] of {name}"
                );
            }
            assert!(page.contains(name.as_str()), "the page does not tell of {name}");
        }
    }
}

/// Every name, header and field in a page's `code`, and every "message", occurs in the code.
#[test]
fn troubleshooting_names_what_there_is() {
    let page = read(&root().join("docs/troubleshooting.md"));
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paths = Vec::new();
    files(&root().join("crates"), &mut paths);
    let is_source = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs" || extension == "toml");
    let code: String = paths.iter().filter(|path| is_source(path)).map(|path| read(path)).collect();
    let names = page.split('`').skip(1).step_by(2).flat_map(|span| span.split("::"));
    let names = names.map(|name| name.trim_end_matches("()"));
    // What a message is filled with at run time is an ellipsis on the page.
    let messages = page.split('"').skip(1).step_by(2).flat_map(|message| message.split('…')).map(str::trim);
    let told: BTreeSet<&str> = names.chain(messages).collect();
    assert!(told.len() > 150, "{}", told.len());
    let missing: Vec<_> = told.into_iter().filter(|name| !code.contains(name)).collect();
    assert!(missing.is_empty(), "not in the code: {missing:#?}");
}
