package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
)

// Bytes that are no text cannot stand in a file of testdata.
func TestNotText(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := config.Parse("f", []byte(text), nil)
		if err == nil || err.Error() != want {
			t.Errorf("%.40q: got %v, want %s", text, err, want)
		}
	}
	f("listen: a\nadmin: é\xff\n", "f:2:9: invalid leading UTF-8 octet (value: 255)")
	f("listen: a\nadmin: \x00\n", "f:2:8: control characters are not allowed (value: 0)")
	f(strings.Repeat("[", 20_000), "f:1:10001: exceeded max depth of 10000, while increasing flow level that begins at line 1")
	f("app: \"http://a\u2028b\"\nupstream: { embedded: {} }", "f:1:6: app: want one line of printable text")
}

// An empty file is a file without keys, and so is one of comments only.
func TestNothing(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "~\n", "---\n...\n", "\ufeff"} {
		c, err := config.Parse("f", []byte(text), []string{"GATEHOUSE_UPSTREAM={embedded: {}}"})
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		equal(t, c, parse(t, "upstream: { embedded: {} }"))
	}
}

// Aliases are refused before anything is expanded.
func TestAliasBomb(t *testing.T) {
	text := "a0: &a0 [x]\n"
	for i := range 30 {
		text += fmt.Sprintf("a%d: &a%d [*a%d, *a%d, *a%d]\n", i+1, i+1, i, i, i)
	}
	text += "routes: *a30\n"
	_, err := config.Parse("f", []byte(text), nil)
	if err == nil || !strings.Contains(err.Error(), "routes: anchors (&) and aliases (*) are not supported") {
		t.Errorf("got %.200v", err)
	}
}

// A password that was put where it does not belong is in no message.
func TestPasswordsAreNotRepeated(t *testing.T) {
	const url = "http://admin:hunter2@127.0.0.1:4433"
	for _, text := range []string{
		"app: " + url,
		"app: " + url + "/x",
		"app: http://admin:hunter2@127.0.0.1:http",
		"app: http://admin:hunter2@%zz",
		"app: 'http://admin:hunter2@127.0.0.1 '",
		"app: [" + url + "]",
		"app: *" + url,
		"upstream: { kratos: { url: " + url + " } }",
		"upstream: { kratos: " + url + " }",
		"upstream: { kratos: { url " + url + " } }",
		"upstream: " + url,
		"upstream: { timeout: " + url + " }",
		"listen: " + url,
		"explain: " + url,
		"session_cache: { size: " + url + " }",
		"credentials: [" + url + "]",
		"trusted_proxies: [" + url + "]",
		"routes: [{ match: { path: " + url + ", host: " + url + ", methods: [" + url + "] }, access: " + url + ", name: " + url + " }]",
		"identity_headers: { " + url + ": x }",
		"identity_headers: { X-A: '@" + url + "' }",
		"forward_auth: { path: " + url + " }",
		"upstream: { kratos: { cookie: " + url + " } }",
		url + ": x",
		"{ a: " + url,
	} {
		for _, environ := range [][]string{nil, {"GATEHOUSE_UPSTREAM=" + url}, {"GATEHOUSE_PASSWORD=hunter2"}} {
			_, err := config.Parse("f", []byte(text), environ)
			if err == nil {
				t.Errorf("%s: accepted", text)
			} else if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
}

// A message is one line, whatever the operator wrote.
func TestMessagesAreLines(t *testing.T) {
	for _, text := range []string{
		`"a\nb": x`,
		`explain: "a\nb"`,
		`identity_headers: { "a\nb": x }`,
		"credentials: [\"a\x1b[31m\"]",
		`routes: [{ name: "a\u2028b", match: { path: "/a\nb", host: "a\nb" }, access: "a\rb" }]`,
		"listen: " + strings.Repeat("x", 10_000),
	} {
		_, err := config.Parse("f", []byte(text), []string{"GATEHOUSE_A\nB=x"})
		errs, ok := err.(config.Errors)
		if !ok {
			t.Errorf("%q: got %v", text, err)
		}
		for _, e := range errs {
			if s := e.Error(); strings.ContainsAny(s, "\n\r\x1b\u2028") || len(s) > 400 {
				t.Errorf("%.60q: got %q", text, s)
			}
		}
	}
}

func TestNearest(t *testing.T) {
	f := func(word, want string) {
		t.Helper()
		if got := config.Nearest(word, []string{"timeout", "url", "app", "fresh_for", "stale_for"}); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
	f("timeout", "timeout")
	f("tiemout", "timeout") // swapped
	f("timout", "timeout")
	f("timeouts", "timeout")
	f("timmeouts", "timeout")
	f("TIMEOUT", "timeout")
	f("time_out", "timeout")
	f("freshfor", "fresh_for")
	f("fresh-for", "fresh_for")
	f("ulr", "url")
	f("uri", "url")
	f("apps", "app")
	f("timer", "")
	f("ab", "")
	f("", "")
	f(strings.Repeat("timeout", 10_000), "")
}

func TestSecretIsNotShown(t *testing.T) {
	type section struct {
		Key  config.Secret
		Keys []config.Secret
	}
	var secret config.Secret
	if err := secret.UnmarshalText([]byte("hunter2")); err != nil || string(secret) != "hunter2" {
		t.Fatalf("got %v, %q", err, string(secret))
	}
	s := section{secret, []config.Secret{secret}}
	var shown strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%10s"} {
		fmt.Fprintf(&shown, verb+verb+verb, secret, &s, s)
	}
	for _, encode := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		b, err := encode(s)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(b)
	}
	slog.New(slog.NewTextHandler(&shown, nil)).Info("text", "secret", secret, "section", s)
	slog.New(slog.NewJSONHandler(&shown, nil)).Info("json", "secret", secret, "section", s)
	shown.WriteString(config.Text(secret))
	if strings.Contains(shown.String(), "hunter2") || strings.Contains(shown.String(), fmt.Sprintf("%x", "hunter2")) {
		t.Errorf("shown: %s", shown.String())
	}
	if n := strings.Count(shown.String(), "secret>") + strings.Count(shown.String(), `secret\u003e`); n < 30 {
		t.Errorf("a reader cannot tell that something is hidden: %d times in %s", n, shown.String())
	}
}
