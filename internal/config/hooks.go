package config

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// A Revocations is how Gatehouse hears of sessions that end.
type Revocations struct {
	// Postgres is the address of Kratos' database, in which deploy/kratos/revocations.up.sql was run: postgres://user:password@host/database,
	// or key=value pairs. It must be the primary itself, not a replica or a pooler in transaction mode. While it cannot be heard, sessions
	// are believed for session_cache.fresh_for_degraded only. Required. A secret.
	Postgres Secret `yaml:"postgres"`
}

// A Hooks is where messages come in that say which sessions have ended. It needs a secret or a key.
type Hooks struct {
	// Path is the path on the listener, for POST. The application is never asked for it. Default /hooks/revoke.
	Path string `yaml:"path"`

	// Secrets are those by which messages may be signed as Standard Webhooks has it (https://www.standardwebhooks.com): whsec_ and base64,
	// or any text, of at least 24 bytes. There may be several so that they can be changed without a gap. Default none.
	Secrets []Secret `yaml:"secrets"`

	// Keys are those that may come in Authorization: Bearer instead of a signature, which Kratos cannot make; at least 24 bytes each.
	// Default none.
	Keys []Secret `yaml:"keys"`
}

func (r *Revocations) setDefaults() { *r = Revocations{} }

func (h *Hooks) setDefaults() {
	*h = Hooks{Path: "/hooks/revoke", Secrets: []Secret{}, Keys: []Secret{}}
}

// minSecret is how long a secret of hooks is at least, in bytes, as Standard Webhooks wants it.
const minSecret = 24

func (l *loader) validateHooks(h *Hooks) {
	if h == nil {
		return
	}
	if len(h.Secrets)+len(h.Keys) == 0 && !l.broken["hooks"] {
		l.report("hooks", "nobody could be believed: want at least one of secrets or keys")
	}
	for i, s := range h.Secrets {
		l.check(fmt.Sprintf("hooks.secrets[%d]", i), secretFault(string(s)))
	}
	for i, k := range h.Keys {
		fault := ""
		switch {
		case len(k) < minSecret:
			fault = shortSecret
		case strings.ContainsFunc(string(k), func(r rune) bool { return r <= ' ' || r > '~' }):
			fault = "want visible ASCII without blanks: it is sent in a header"
		}
		l.check(fmt.Sprintf("hooks.keys[%d]", i), fault)
	}
}

var shortSecret = fmt.Sprintf("want at least %d bytes, such as openssl rand -base64 32 makes", minSecret)

// secretFault says what is wrong with a secret that signs messages, or "". It does not tell the secret.
func secretFault(s string) string {
	if encoded, ok := strings.CutPrefix(s, "whsec_"); ok {
		decoded, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return "want base64 after whsec_"
		}
		s = string(decoded)
	}
	if len(s) < minSecret {
		return shortSecret
	}
	return ""
}

// databaseFault says what is wrong with the address of a database, or "". It does not tell the address. Whoever connects reads all of it.
func databaseFault(s string) string {
	if s == "" || !strings.HasPrefix(s, "postgres://") && !strings.HasPrefix(s, "postgresql://") && !strings.Contains(s, "=") {
		return "want postgres://user:password@host:5432/database, or key=value pairs"
	}
	return ""
}
