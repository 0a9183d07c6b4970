//! The same counts as the reference tokenizer's, whatever the text.

use proptest::prelude::*;
use tiktoken_rs::{CoreBPE, cl100k_base_singleton, o200k_base_singleton, o200k_harmony_singleton};
use tower_aoai_context_window::{BytePairs, TokenCounter, Tokenizer};

fn both() -> [(Tokenizer, &'static CoreBPE); 3] {
    [
        (Tokenizer::O200kBase, o200k_base_singleton()),
        (Tokenizer::Cl100kBase, cl100k_base_singleton()),
        (Tokenizer::O200kHarmony, o200k_harmony_singleton()),
    ]
}

fn assert_same(what: &str, text: &str) {
    for (tokenizer, reference) in both() {
        let expected = reference.count_ordinary(text) as u64;
        assert_eq!(BytePairs.count(tokenizer, text), expected, "{what}, {tokenizer:?}");
        assert!(expected <= text.len() as u64, "{what}: no token is shorter than a byte");
        assert_eq!(BytePairs.count_up_to(tokenizer, text, expected), Some(expected), "{what}");
        if let Some(less) = expected.checked_sub(1) {
            assert_eq!(BytePairs.count_up_to(tokenizer, text, less), None, "{what}");
        }
        for tokens in [0, 1, expected / 2, expected] {
            let beginning = &text[..BytePairs.beginning(tokenizer, text, tokens)];
            assert!(reference.encode_ordinary(text).len() as u64 == expected && text.starts_with(beginning));
            if tokens == expected {
                assert_eq!(beginning, text);
                assert_eq!(BytePairs.ending(tokenizer, text, tokens), text.len());
            }
        }
    }
}

/// Languages and formats, each several kilobytes long.
fn corpus() -> Vec<(&'static str, String)> {
    let prose = [
        (
            "English",
            "The quota is the truth; whatever a client believes of it is a guess. Don't retry what can't succeed: it's billed.\n\n## A heading\n\n- one *item*, and `code`\n- another [link](https://example.com/a?b=c#d)\n",
        ),
        (
            "Chinese",
            "配额是事实,客户端所相信的只是猜测。不要重试不可能成功的请求:它会被计费。上下文窗口包括提示和输出。\n",
        ),
        (
            "Japanese",
            "割り当てこそが真実であり、クライアントが信じるものは推測にすぎません。成功しないものを再試行しないでください。カタカナもひらがなも。\n",
        ),
        (
            "Korean",
            "할당량이 진실이며 클라이언트가 믿는 것은 추측일 뿐입니다. 성공할 수 없는 것은 다시 시도하지 마십시오.\n",
        ),
        (
            "Russian",
            "Квота — это истина; всё, что думает о ней клиент, лишь догадка. Не повторяйте того, что не может удаться.\n",
        ),
        ("Arabic", "الحصة هي الحقيقة، وكل ما يعتقده العميل عنها مجرد تخمين. لا تُعِد محاولة ما لا يمكن أن ينجح.\n"),
        ("Hindi", "कोटा ही सत्य है; ग्राहक जो कुछ मानता है वह केवल अनुमान है। जो सफल नहीं हो सकता उसे दोबारा न करें।\n"),
        (
            "German",
            "Die Quote ist die Wahrheit; was ein Client darüber glaubt, ist Vermutung. Größe, Straße, Übermaß.\n",
        ),
        (
            "Rust",
            "impl<S, B> Service<Request<B>> for Layered<S>\nwhere\n    S: Service<Request<B>>,\n{\n    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {\n        self.inner.poll_ready(cx) // forwarded\n    }\n}\n",
        ),
        (
            "Python",
            "def count(messages: list[dict], *, model='gpt-4o') -> int:\n    \"\"\"Counts.\"\"\"\n\treturn sum(3 + len(m['content']) for m in messages) + 3\n",
        ),
        (
            "TypeScript",
            "export const wait = async (ms: number): Promise<void> => new Promise((r) => setTimeout(r, ms));\n",
        ),
        (
            "JSON",
            "{\"id\":\"chatcmpl-1\",\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":3.5e-7},\"ok\":[true,false,null]}\n",
        ),
        ("base64", "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="),
        ("emoji", "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 ☕️ 🇩🇪 e\u{301} a\u{308}\u{323} \u{200b}\u{feff}\n"),
        ("special", "<|endoftext|> <|im_start|>system<|im_sep|> <|fim_prefix|>\r\n\t \u{a0}\u{3000}\u{2028}"),
        ("numbers", "1 12 123 1234 12345 1,234,567.89 0x1F 1e10 ½ ² ٣ 四\n"),
    ];
    let mut texts: Vec<_> = prose.into_iter().map(|(name, text)| (name, text.repeat(4_000 / text.len() + 1))).collect();
    for (name, text) in [
        ("spaces", " "),
        ("newlines", "\n"),
        ("tabs", "\t"),
        ("a", "a"),
        ("digits", "7"),
        ("ideographs", "東"),
        ("dashes", "-"),
    ] {
        texts.push((name, text.repeat(5_000)));
        texts.push((name, format!("{}x", text.repeat(5_000))));
    }
    texts.push(("empty", String::new()));
    texts
}

#[test]
fn a_corpus_of_languages_and_formats_has_the_reference_tokenizers_counts() {
    for (name, text) in corpus() {
        assert_same(name, &text);
    }
}

fn unicode() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        2 => any::<char>(),
        4 => prop::char::range(' ', '~'),
        2 => prop::sample::select(vec![' ', '\n', '\r', '\t', '\'', '\u{a0}', '\u{3000}', '\u{301}', '\u{200d}']),
        1 => prop::char::range('\u{400}', '\u{6ff}'),
        1 => prop::char::range('\u{3040}', '\u{9fff}'),
        1 => prop::char::range('\u{1f300}', '\u{1faff}'),
    ];
    prop::collection::vec(character, 0..60).prop_map(String::from_iter)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn random_unicode_has_the_reference_tokenizers_counts(text in unicode()) {
        assert_same("random", &text);
    }
}
