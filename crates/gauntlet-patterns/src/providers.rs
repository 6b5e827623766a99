//! Issuers whose tokens carry a prefix, as a table: kind, name, prefix, shape behind it, further proof, examples.
//!
//! Examples are templates for a generator in the tests that knows nothing of the shapes: `{an:36}` is 36 letters and
//! digits, `{crc:30}` thirty of them with their checksum. So the repository holds no token-like text.

use crate::alphabet::{
    ALNUM, Alphabet, BASE32, BASE64, DIGIT, HEX, LETTER, LOWER_DIGIT, UPPER, UPPER_DIGIT, URLSAFE, WORD,
};
use crate::kinds::Confidence::{self, High, Low, Medium};
use crate::shape::Part::{self, Lit, Opt, Run};
use crate::shape::exactly;

/// One issuer's token format.
#[derive(Clone, Copy, Debug)]
pub struct Provider {
    /// The kind that a match reports, one of [`crate::kinds`].
    pub kind: &'static str,
    /// Issuer and sort of token, for messages.
    pub title: &'static str,
    /// What every such token starts with; case matters.
    pub prefix: &'static str,
    /// Templates of what follows the prefix in real tokens.
    pub positive: &'static [&'static str],
    /// Templates of what follows the prefix in text that is no token.
    pub negative: &'static [&'static str],
    pub(crate) shape: &'static [Part],
    pub(crate) proof: Extra,
    pub(crate) confidence: Confidence,
}

/// What a token must satisfy beside its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extra {
    /// Nothing.
    Nothing,
    /// The text behind the prefix ends in its base62 CRC-32, or it is no token.
    Crc,
    /// This text occurs inside.
    Contains(&'static str),
    /// At least this many bits of entropy for each byte, in tenths.
    Entropy(u32),
}

/// The table.
#[must_use]
pub fn providers() -> &'static [Provider] {
    PROVIDERS
}

impl Provider {
    const fn with(mut self, proof: Extra) -> Self {
        self.proof = proof;
        self
    }

    const fn sure(mut self, confidence: Confidence) -> Self {
        self.confidence = confidence;
        self
    }

    const fn not(mut self, negative: &'static [&'static str]) -> Self {
        self.negative = negative;
        self
    }
}

const fn row(
    kind: &'static str,
    title: &'static str,
    prefix: &'static str,
    shape: &'static [Part],
    positive: &'static [&'static str],
) -> Provider {
    Provider {
        kind,
        title,
        prefix,
        positive,
        negative: &["", "your-key-here", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"],
        shape,
        proof: Extra::Nothing,
        confidence: High,
    }
}

const ML: &str = "ml-platform-key";
const SERVICE: &str = "service-token";
const PACKAGE: &str = "package-token";
const PAYMENT: &str = "payment-key";
const DOTTED: Alphabet = URLSAFE.and(Alphabet::of(b"."));

const AWS_ID: &[Part] = &[exactly(BASE32, 16)];
const CRC36: &[Part] = &[exactly(ALNUM, 36)];
const GITLAB: &[Part] =
    &[Run(URLSAFE, 20, 300), Opt(&[Lit("."), exactly(LOWER_DIGIT, 2), Lit("."), exactly(LOWER_DIGIT, 9)])];
const SLACK: &[Part] = &[Run(DIGIT, 10, 13), Lit("-"), Run(DIGIT, 10, 13), Run(URLSAFE, 20, 120)];
const HEX32: &[Part] = &[exactly(HEX, 32)];
const HEX40: &[Part] = &[exactly(HEX, 40)];
const HEX64: &[Part] = &[exactly(HEX, 64)];

const PROVIDERS: &[Provider] = &[
    // Clouds
    row("aws-key", "AWS access key id", "AKIA", AWS_ID, &["{b32:16}"]).not(&[
        "IOSFODNN7EXAMPLE",
        "XXXXXXXXXXXXXXXX",
        "{b32:15}",
        "{b32:17}",
    ]),
    row("aws-key", "AWS temporary access key id", "ASIA", AWS_ID, &["{b32:16}"]),
    row("aws-key", "AWS Bedrock API key", "ABSK", &[Run(BASE64, 109, 269)], &["{an:120}"]),
    row("google-key", "Google API key", "AIza", &[exactly(URLSAFE, 35)], &["{u:35}"]).not(&["{u:34}", "{an:36}"]),
    row("google-key", "Google OAuth client secret", "GOCSPX-", &[exactly(URLSAFE, 28)], &["{u:28}"]),
    row("google-key", "Google OAuth access token", "ya29.", &[Run(URLSAFE, 40, 400)], &["{u:60}", "{u:180}"]),
    row("service-token", "Alibaba Cloud access key id", "LTAI", &[exactly(ALNUM, 20)], &["{an:20}"])
        .with(Extra::Entropy(30)),
    row(SERVICE, "DigitalOcean token", "dop_v1_", HEX64, &["{hex:64}"]),
    row(SERVICE, "DigitalOcean OAuth token", "doo_v1_", HEX64, &["{hex:64}"]),
    row(SERVICE, "DigitalOcean refresh token", "dor_v1_", HEX64, &["{hex:64}"]),
    row(SERVICE, "Heroku API key", "HRKU-", &[Run(URLSAFE, 36, 80)], &["{an:60}"]),
    row(SERVICE, "Fly.io token", "fo1_", &[exactly(URLSAFE, 43)], &["{u:43}"]),
    row(SERVICE, "PlanetScale token", "pscale_tkn_", &[Run(DOTTED, 32, 64)], &["{an:43}"]),
    row(SERVICE, "Supabase token", "sbp_", HEX40, &["{hex:40}"]),
    // Code hosts
    row("github-token", "GitHub personal access token", "ghp_", CRC36, &["{crc:30}"])
        .with(Extra::Crc)
        .not(&["{crcbad:30}", "{an:35}"]),
    row("github-token", "GitHub OAuth token", "gho_", CRC36, &["{crc:30}"]).with(Extra::Crc),
    row("github-token", "GitHub user-to-server token", "ghu_", CRC36, &["{crc:30}"]).with(Extra::Crc),
    row("github-token", "GitHub installation token", "ghs_", CRC36, &["{crc:30}"]).with(Extra::Crc),
    row("github-token", "GitHub refresh token", "ghr_", CRC36, &["{crc:30}"]).with(Extra::Crc),
    row(
        "github-token",
        "GitHub fine-grained token",
        "github_pat_",
        &[exactly(ALNUM, 22), Lit("_"), exactly(ALNUM, 59)],
        &["{an:22}_{an:59}"],
    ),
    row("gitlab-token", "GitLab personal access token", "glpat-", GITLAB, &["{u:20}", "{u:27}.01.{ld:9}"]),
    row("gitlab-token", "GitLab deploy token", "gldt-", GITLAB, &["{u:20}"]),
    row("gitlab-token", "GitLab runner token", "glrt-", GITLAB, &["{u:20}"]),
    row("gitlab-token", "GitLab pipeline trigger token", "glptt-", GITLAB, &["{hex:40}"]),
    row("gitlab-token", "GitLab CI job token", "glcbt-", GITLAB, &["{u:26}"]),
    row("gitlab-token", "GitLab OAuth secret", "gloas-", GITLAB, &["{hex:64}"]),
    row("gitlab-token", "GitLab feed token", "glft-", GITLAB, &["{u:20}"]),
    row("gitlab-token", "GitLab agent token", "glagent-", GITLAB, &["{u:50}"]),
    row(SERVICE, "Atlassian API token", "ATATT3xFf", &[Run(BASE64.and(URLSAFE), 100, 250)], &["{u:180}"]),
    row(SERVICE, "Sourcegraph token", "sgp_", HEX40, &["{hex:40}"]),
    // Chat
    row("slack-token", "Slack bot token", "xoxb-", SLACK, &["{d:12}-{d:13}-{an:24}"]),
    row("slack-token", "Slack user token", "xoxp-", SLACK, &["{d:12}-{d:12}-{d:12}-{hex:32}"]),
    row(
        "slack-token",
        "Slack app token",
        "xapp-1-",
        &[Run(UPPER_DIGIT, 9, 13), Lit("-"), Run(DIGIT, 10, 15), Lit("-"), exactly(HEX, 64)],
        &["A{b32:10}-{d:13}-{hex:64}"],
    ),
    row(
        "slack-token",
        "Slack webhook",
        "hooks.slack.com/services/T",
        &[Run(UPPER_DIGIT, 8, 12), Lit("/B"), Run(UPPER_DIGIT, 8, 12), Lit("/"), Run(ALNUM, 23, 25)],
        &["{b32:10}/B{b32:10}/{an:24}"],
    ),
    row(
        "chat-token",
        "Discord webhook",
        "discord.com/api/webhooks/",
        &[Run(DIGIT, 17, 20), Lit("/"), Run(URLSAFE, 60, 72)],
        &["{d:18}/{u:68}"],
    ),
    // Models and data platforms
    row("openai-key", "OpenAI project key", "sk-proj-", &[Run(URLSAFE, 40, 200)], &["{u:74}T3BlbkFJ{u:74}"])
        .with(Extra::Contains("T3BlbkFJ")),
    row("openai-key", "OpenAI service account key", "sk-svcacct-", &[Run(URLSAFE, 40, 200)], &["{u:74}T3BlbkFJ{u:74}"])
        .with(Extra::Contains("T3BlbkFJ")),
    row("openai-key", "OpenAI admin key", "sk-admin-", &[Run(URLSAFE, 40, 200)], &["{u:74}T3BlbkFJ{u:74}"])
        .with(Extra::Contains("T3BlbkFJ")),
    row("openai-key", "OpenRouter key", "sk-or-v1-", HEX64, &["{hex:64}"]),
    row(
        "openai-key",
        "OpenAI or OpenAI-style key",
        "sk-",
        &[Run(ALNUM, 32, 64)],
        &["{an:20}T3BlbkFJ{an:20}", "{hex:32}"],
    )
    .with(Extra::Entropy(32))
    .sure(Medium),
    row("anthropic-key", "Anthropic API key", "sk-ant-api03-", &[exactly(URLSAFE, 95)], &["{u:93}AA"]),
    row("anthropic-key", "Anthropic admin key", "sk-ant-admin01-", &[exactly(URLSAFE, 95)], &["{u:93}AA"]),
    row("anthropic-key", "Anthropic OAuth token", "sk-ant-oat01-", &[exactly(URLSAFE, 95)], &["{u:93}AA"]),
    row("huggingface-token", "Hugging Face user token", "hf_", &[exactly(ALNUM, 34)], &["{l:34}", "{an:34}"])
        .with(Extra::Entropy(35))
        .not(&["{l:33}", "{l:35}", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "hub_download"]),
    row("huggingface-token", "Hugging Face organisation token", "api_org_", &[exactly(LETTER, 34)], &["{l:34}"]),
    row(ML, "Weights & Biases API key", "wandb_v1_", &[Run(WORD, 60, 90)], &["{an:27}_{an:45}"]),
    row(ML, "Groq API key", "gsk_", &[exactly(ALNUM, 52)], &["{an:52}"]),
    row(ML, "Replicate API token", "r8_", &[exactly(ALNUM, 37)], &["{an:37}"]),
    row(ML, "Pinecone API key", "pcsk_", &[Run(ALNUM, 4, 8), Lit("_"), Run(ALNUM, 50, 70)], &["{an:5}_{an:63}"]),
    row(
        ML,
        "Databricks token",
        "dapi",
        &[exactly(HEX, 32), Opt(&[Lit("-"), Run(DIGIT, 1, 2)])],
        &["{hex:32}", "{hex:32}-2"],
    ),
    row(ML, "NVIDIA API key", "nvapi-", &[Run(URLSAFE, 60, 70)], &["{u:64}"]),
    row(ML, "Perplexity API key", "pplx-", &[Run(ALNUM, 48, 56)], &["{an:48}"]),
    row(ML, "xAI API key", "xai-", &[exactly(ALNUM, 80)], &["{an:80}"]),
    row(ML, "Cerebras API key", "csk-", &[exactly(LOWER_DIGIT, 48)], &["{ld:48}"]),
    row(ML, "Fireworks API key", "fw_", &[Run(ALNUM, 22, 24)], &["{an:24}"]).with(Extra::Entropy(36)).sure(Medium),
    row(ML, "LangSmith key", "lsv2_pt_", &[exactly(HEX, 32), Lit("_"), exactly(HEX, 10)], &["{hex:32}_{hex:10}"]),
    row(
        ML,
        "LangSmith service key",
        "lsv2_sk_",
        &[exactly(HEX, 32), Lit("_"), exactly(HEX, 10)],
        &["{hex:32}_{hex:10}"],
    ),
    row(
        ML,
        "Langfuse secret key",
        "sk-lf-",
        &[
            exactly(HEX, 8),
            Lit("-"),
            exactly(HEX, 4),
            Lit("-"),
            exactly(HEX, 4),
            Lit("-"),
            exactly(HEX, 4),
            Lit("-"),
            exactly(HEX, 12),
        ],
        &["{hex:8}-{hex:4}-{hex:4}-{hex:4}-{hex:12}"],
    ),
    row(ML, "Tavily API key", "tvly-", &[Run(URLSAFE, 32, 50)], &["{an:32}", "dev-{an:32}"]),
    row(ML, "Voyage API key", "pa-", &[exactly(URLSAFE, 43)], &["{u:43}"]).with(Extra::Entropy(42)).sure(Medium),
    row(ML, "Jina API key", "jina_", &[exactly(HEX, 32), exactly(URLSAFE, 28)], &["{hex:32}{u:28}"]),
    row(ML, "ElevenLabs API key", "sk_", &[exactly(HEX, 48)], &["{hex:48}"]),
    row(ML, "Kaggle API token", "KGAT_", HEX32, &["{hex:32}"]),
    row(ML, "Neptune API token", "eyJhcGlfYWRkcmVzcyI6", &[Run(BASE64, 60, 400)], &["{an:120}"]),
    row(ML, "LlamaCloud API key", "llx-", &[exactly(ALNUM, 48)], &["{an:48}"]),
    // Package indexes
    row(PACKAGE, "PyPI token", "pypi-AgEIcHlwaS5vcmc", &[Run(URLSAFE, 50, 1000)], &["{u:150}"]).not(&["", "{u:49}"]),
    row(PACKAGE, "TestPyPI token", "pypi-AgENdGVzdC5weXBpLm9yZw", &[Run(URLSAFE, 50, 1000)], &["{u:150}"])
        .not(&["", "{u:49}"]),
    row(PACKAGE, "npm token", "npm_", CRC36, &["{crc:30}"]).with(Extra::Crc).not(&["{crcbad:30}"]),
    row(PACKAGE, "RubyGems key", "rubygems_", &[exactly(HEX, 48)], &["{hex:48}"]),
    row(PACKAGE, "Rust registry token", "cio", &[exactly(ALNUM, 32)], &["{an:32}"]).with(Extra::Entropy(38)),
    row(PACKAGE, "NuGet key", "oy2", &[exactly(LOWER_DIGIT, 43)], &["{ld:43}"]).with(Extra::Entropy(36)),
    row(PACKAGE, "Docker Hub token", "dckr_pat_", &[exactly(URLSAFE, 27)], &["{u:27}"]),
    row(PACKAGE, "Docker Hub organisation token", "dckr_oat_", &[exactly(URLSAFE, 32)], &["{u:32}"]),
    row(PACKAGE, "Artifactory API key", "AKCp", &[exactly(ALNUM, 69)], &["{an:69}"]),
    row(PACKAGE, "Artifactory reference token", "cmVmdGtu", &[exactly(ALNUM, 56)], &["{an:56}"]),
    // Payment
    row(PAYMENT, "Stripe live secret key", "sk_live_", &[Run(ALNUM, 24, 110)], &["{an:24}", "{an:99}"]),
    row(PAYMENT, "Stripe live restricted key", "rk_live_", &[Run(ALNUM, 24, 110)], &["{an:24}"]),
    row(PAYMENT, "Stripe test secret key", "sk_test_", &[Run(ALNUM, 24, 110)], &["{an:24}"]).sure(Low),
    row(PAYMENT, "Stripe webhook secret", "whsec_", &[Run(ALNUM, 32, 64)], &["{an:32}"]),
    row(PAYMENT, "Square access token", "sq0atp-", &[exactly(URLSAFE, 22)], &["{u:22}"]),
    row(PAYMENT, "Square OAuth secret", "sq0csp-", &[exactly(URLSAFE, 43)], &["{u:43}"]),
    row(PAYMENT, "Shopify access token", "shpat_", HEX32, &["{hex:32}"]),
    row(PAYMENT, "Shopify shared secret", "shpss_", HEX32, &["{hex:32}"]),
    // Hosted services
    row(SERVICE, "SendGrid key", "SG.", &[exactly(URLSAFE, 22), Lit("."), exactly(URLSAFE, 43)], &["{u:22}.{u:43}"]),
    row(SERVICE, "Mailgun key", "key-", HEX32, &["{hex:32}"]).sure(Medium),
    row(SERVICE, "Linear key", "lin_api_", &[exactly(ALNUM, 40)], &["{an:40}"]),
    row(SERVICE, "Notion token", "ntn_", &[Run(ALNUM, 40, 50)], &["{an:46}"]),
    row(SERVICE, "Postman key", "PMAK-", &[exactly(HEX, 24), Lit("-"), exactly(HEX, 34)], &["{hex:24}-{hex:34}"]),
    row(SERVICE, "New Relic key", "NRAK-", &[exactly(UPPER_DIGIT, 27)], &["{b32:27}"]),
    row(
        SERVICE,
        "Grafana service account token",
        "glsa_",
        &[exactly(ALNUM, 32), Lit("_"), exactly(HEX, 8)],
        &["{an:32}_{hex:8}"],
    ),
    row(SERVICE, "Grafana Cloud token", "glc_eyJ", &[Run(BASE64, 40, 400)], &["{an:100}"]),
    row(SERVICE, "Doppler token", "dp.pt.", &[Run(ALNUM, 40, 44)], &["{an:43}"]),
    row(SERVICE, "Vault token", "hvs.", &[Run(URLSAFE, 24, 300)], &["{u:90}", "{an:24}"]).with(Extra::Entropy(35)),
    row(SERVICE, "Pulumi token", "pul-", HEX40, &["{hex:40}"]),
    row(
        SERVICE,
        "Sentry organisation token",
        "sntrys_eyJ",
        &[Run(BASE64.and(URLSAFE), 60, 400)],
        &["{an:100}_{an:43}"],
    ),
    row(SERVICE, "Sentry user token", "sntryu_", HEX64, &["{hex:64}"]),
    row(
        SERVICE,
        "Dynatrace token",
        "dt0c01.",
        &[exactly(UPPER_DIGIT, 24), Lit("."), exactly(UPPER_DIGIT, 64)],
        &["{b32:24}.{b32:64}"],
    ),
    row(SERVICE, "Figma token", "figd_", &[Run(URLSAFE, 40, 60)], &["{u:40}"]),
    row(
        SERVICE,
        "HubSpot token",
        "pat-na1-",
        &[
            exactly(HEX, 8),
            Lit("-"),
            exactly(HEX, 4),
            Lit("-"),
            exactly(HEX, 4),
            Lit("-"),
            exactly(HEX, 4),
            Lit("-"),
            exactly(HEX, 12),
        ],
        &["{hex:8}-{hex:4}-{hex:4}-{hex:4}-{hex:12}"],
    ),
    row(SERVICE, "Typeform token", "tfp_", &[Run(DOTTED, 44, 80)], &["{an:59}"]),
    row(
        SERVICE,
        "Tailscale key",
        "tskey-auth-",
        &[Run(ALNUM, 8, 24), Lit("-"), Run(ALNUM, 16, 48)],
        &["{an:12}-{an:32}"],
    ),
    row("private-key", "age secret key", "AGE-SECRET-KEY-1", &[exactly(UPPER.and(DIGIT), 58)], &["{b32:58}"]),
    row(SERVICE, "Airtable token", "pat", &[exactly(ALNUM, 14), Lit("."), exactly(HEX, 64)], &["{an:14}.{hex:64}"]),
    row(SERVICE, "Google Cloud Storage HMAC id", "GOOG1E", &[exactly(UPPER_DIGIT, 55)], &["{b32:55}"]),
    row(
        SERVICE,
        "Cloudinary address",
        "cloudinary://",
        &[Run(DIGIT, 12, 18), Lit(":"), Run(URLSAFE, 20, 40)],
        &["{d:15}:{an:27}"],
    ),
];
