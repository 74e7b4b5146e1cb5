package config_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// example returns config.example.yaml, and the same with another service in place of Kratos, by name, and with the keys that are commented
// out in place of those before them: a line that is commented out has no space after the '#'. Every service has a paragraph of its own.
func example(t *testing.T) (kratos string, others map[string]string) {
	t.Helper()
	data, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(data), "\nlisten: \":8080\"\n", "\n", 1)
	text = strings.Replace(text, exampleUpstreams(t, text), "", 1)
	text = strings.Replace(text, "    #upstream: staff\n", "", 1)
	head, rest, _ := strings.Cut(text, "  kratos:\n")
	_, rest, found := strings.Cut(rest, "\n\n")
	if !found {
		t.Fatal("config.example.yaml has no section kratos that ends in an empty line")
	}
	names := []string{"wacht", "crossid", "better_auth", "http", "embedded"}
	others = map[string]string{}
	for _, name := range names {
		paragraphs := slices.DeleteFunc(strings.Split(head+"\n"+rest, "\n\n"), func(p string) bool {
			return slices.ContainsFunc(names, func(n string) bool { return n != name && strings.Contains(p, "\n  #"+n+":\n") })
		})
		all := regexp.MustCompile(`(?m)^( *)#([a-z-])`).ReplaceAllString(strings.Join(paragraphs, "\n\n"), "$1$2")
		if name != "embedded" { // they take other credentials, and speak in words of their own
			all = regexp.MustCompile(`(?m)^(credentials|  dialect):.*$`).ReplaceAllString(all, "")
		}
		others[name] = all
	}
	return string(data), others
}

// exampleUpstreams returns the paragraph of the example that replaces upstream.
func exampleUpstreams(t *testing.T, text string) string {
	t.Helper()
	_, rest, _ := strings.Cut(text, "\n#upstreams:\n")
	section, _, found := strings.Cut(rest, "\n\n")
	if !found {
		t.Fatal("config.example.yaml has no section upstreams that ends in an empty line")
	}
	return "\n#upstreams:\n" + section + "\n"
}

func TestExampleShowsDefaults(t *testing.T) {
	kratos, others := example(t)
	want := config.Default()
	want.App.URL = "http://127.0.0.1:3000"
	want.Credentials = []upstream.Kind{upstream.SessionToken, upstream.SessionCookie, upstream.Cookie, upstream.Bearer}
	want.Routes = []config.Route{
		{Name: "assets", Match: config.Match{Path: "/assets/*"}, Access: config.AccessPublic},
		{
			Name:    "admin",
			Match:   config.Match{Host: "admin.example.com", Path: "/*", Methods: []string{"GET", "HEAD", "POST"}},
			Access:  config.AccessSession,
			MaxBody: config.MiB,
			Require: config.Require{AAL: upstream.AAL2},
		},
		{
			Name: "api", Match: config.Match{Path: "/api/*"}, Access: config.AccessSession, StripPrefix: "/api", CORS: &config.CORS{
				AllowedOrigins: []string{"https://www.example.com"}, AllowedMethods: []string{"PUT", "PATCH", "DELETE"},
				AllowedHeaders: []string{"Content-Type"}, ExposedHeaders: []string{"X-Total-Count"},
			},
		},
		{Match: config.Match{Path: "/*"}, Access: config.AccessSession, AllowedOrigins: []string{"https://app.example.com"}},
	}
	want.IdentityHeaders = config.IdentityHeaders{
		{Name: "X-User-Id", Path: "identity.id"}, {Name: "X-User-Email", Path: "identity.traits.email"},
	}

	want.Upstream.Kratos = parse(t, "upstream: { kratos: { url: http://127.0.0.1:4433 } }").Upstream.Kratos
	equal(t, parse(t, kratos), &want)

	want.Upstream.Kratos = nil
	want.Upstream.Embedded = parse(t, "upstream: { embedded: {} }").Upstream.Embedded
	files := config.TLS{CertFile: "/etc/gatehouse/tls.crt", KeyFile: "/etc/gatehouse/tls.key", ClientAuth: config.ClientAuthNone}
	want.TLS = &files
	want.Listen = config.Listeners{{Address: "unix:/run/gatehouse/gatehouse.sock"}, {Address: ":8443", TLS: &files}}
	want.Routes[1].Require = config.Require{
		AAL: upstream.AAL2, MaxAge: 15 * time.Minute, Methods: []string{"totp", "webauthn", "passkey"},
		Expression: `session.identity.traits.role in ["admin"]`, Use: "staff",
	}
	want.Routes[1].Audience = "https://admin.example.com"
	want.Requirements = map[string]config.Require{"staff": {
		AAL: upstream.AAL1, MaxAge: 12 * time.Hour, Methods: []string{"password", "oidc"},
		Expression: "session.identity.metadata_public.staff == true",
	}}
	want.IdentityToken = &config.IdentityToken{
		Header: "X-Gatehouse-Jwt", KeyFile: "/etc/gatehouse/token.pem", OtherKeyFiles: []string{}, Issuer: "gatehouse",
		Audience: "https://app.example.com", TTL: 5 * time.Minute, Claims: map[string]string{"email": "identity.traits.email"},
		KeysPath: "/.well-known/jwks.json",
	}
	want.Hooks = &config.Hooks{
		Path: "/hooks/revoke", Secrets: []config.Secret{"whsec_bm90LWEtc2VjcmV0LWJ1dC1sb25nLWVub3VnaA=="},
		Keys: []config.Secret{"change-me-to-32-random-bytes"},
	}
	want.Login = &config.Login{
		URL: "https://auth.example.com/self-service/login/browser", ReturnToParam: "return_to",
		AllowedHosts: []string{"app.example.com", "*.example.org", "localhost:8080"},
	}
	want.Routes[1].App = &config.App{
		URL: "https://admin.internal", CAFile: "/etc/gatehouse/internal-ca.pem", CertFile: "/etc/gatehouse/gatehouse.pem",
		KeyFile: "/etc/gatehouse/gatehouse.key", ServerName: "admin.example.com",
		MaxConns: 64, HeadTimeout: 5 * time.Minute, IdleTimeout: time.Hour,
	}
	equal(t, parse(t, others["embedded"]), &want)

	f := func(name, minimal string) {
		t.Helper()
		own := parse(t, minimal)
		want.Upstream, want.Credentials, want.Whoami = own.Upstream, own.Credentials, own.Whoami
		equal(t, parse(t, others[name]), &want)
	}
	f("wacht", "upstream: { wacht: { url: https://frontend.example.com, token_path: /session/token } }")
	f("crossid", "upstream: { crossid: { url: https://example.crossid.io } }")
	f("better_auth", "upstream: { better_auth: { url: http://127.0.0.1:3000 } }")
	f("http", "upstream: { http: { url: https://auth.example.com/oauth2/introspect, method: POST, bearer: true, form_field: token, "+
		"client_id: gatehouse, client_secret_file: /etc/gatehouse/client-secret, headers: { X-Tenant: example }, "+
		"authenticated_when: body.active == true, paths: { identity_id: sub } } }")
}

// paths returns the paths of all keys in a YAML document.
func paths(t *testing.T, text string) map[string]bool {
	t.Helper()
	var n yaml.Node
	if err := yaml.Load([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	var walk func(path string, n *yaml.Node)
	walk = func(path string, n *yaml.Node) {
		found[path] = true
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i < len(n.Content); i += 2 {
				walk(strings.TrimPrefix(path+"."+n.Content[i].Value, "."), n.Content[i+1])
			}
		case yaml.SequenceNode:
			for _, item := range n.Content {
				walk(path+"[]", item)
			}
		}
	}
	walk("", n.Content[0])
	return found
}

func TestExampleIsComplete(t *testing.T) {
	kratos, others := example(t)
	kratos = strings.NewReplacer("#revocations:", "revocations:", "#postgres:", "postgres:").Replace(kratos)
	found := paths(t, kratos)
	for _, text := range others {
		maps.Copy(found, paths(t, text))
	}
	several := regexp.MustCompile(`(?m)^( *)#([a-z])`).ReplaceAllString(exampleUpstreams(t, kratos), "$1$2")
	for _, u := range parse(t, several+"\nroutes: [{ match: { path: /* }, access: session, upstream: staff }]\n"+
		"identity_headers: { X-User-Id: identity.id, X-User-Email: identity.traits.email }").Upstreams {
		found["upstreams"], found["upstream.identity_headers"] = true, found["upstream.identity_headers"] || u.IdentityHeaders != nil
	}
	found["routes[].upstream"] = strings.Contains(kratos, "\n    #upstream: staff\n")
	for _, key := range config.Keys() {
		key = strings.Replace(key, "requirements[].", "requirements.staff.", 1)
		if !found[key] && key != "requirements.staff.use" {
			t.Errorf("config.example.yaml lacks %s", key)
		}
	}
}

// What the comments of the example call a default is the value beside them, and that is the default: see TestExampleShowsDefaults.
func TestExampleCommentsAreRight(t *testing.T) {
	kratos, others := example(t)
	stated := regexp.MustCompile(`Default(?: is)? ("[^"]*"|[^ :]*:?[^ :]+)[:.]`)
	key := regexp.MustCompile(`^[ -]*([a-z_]+): *(.*)$`)
	checked := 0
	for _, text := range append(slices.Collect(maps.Values(others)), kratos) {
		comment := ""
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if words, ok := strings.CutPrefix(strings.TrimPrefix(line, "- "), "# "); ok {
				comment += words + " "
				continue
			}
			k, d := key.FindStringSubmatch(line), stated.FindStringSubmatch(comment)
			comment = ""
			if k == nil || d == nil || k[2] == "" || k[1] == "app" {
				continue
			}
			checked++
			if strings.Trim(d[1], `"`) != strings.Trim(k[2], `"`) {
				t.Errorf("%s: the comment says %s, the value is %s", k[1], d[1], k[2])
			}
		}
	}
	if checked < 30 {
		t.Errorf("only %d comments were understood", checked)
	}
}
