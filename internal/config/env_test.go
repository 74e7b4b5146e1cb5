package config_test

import (
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
)

func TestVariablesDoNotCollide(t *testing.T) {
	taken := map[string]string{"GATEHOUSE_CONFIG": "the name of the file"}
	link := regexp.MustCompile(config.ServiceLink)
	for _, key := range config.Keys() {
		if strings.Contains(key, "[]") {
			continue // set by the variable of the list
		}
		name := config.Variable(key)
		if other, ok := taken[name]; ok {
			t.Errorf("%s is the variable of %s and of %s", name, key, other)
		}
		taken[name] = key
		if link.MatchString(name) {
			t.Errorf("%s, the variable of %s, looks like one that Kubernetes sets", name, key)
		}
	}
}

// Every key that a file can set can be set by a variable of its own, with the same result.
func TestEveryKeyHasAVariable(t *testing.T) {
	for _, text := range []string{everyKratos, everyEmbedded} {
		var environ []string
		var walk func(path string, n *yaml.Node)
		walk = func(path string, n *yaml.Node) {
			chosen := path == "identity_headers" || path == "requirements" || path == "identity_token.claims" // names that are no keys
			if n.Kind == yaml.MappingNode && !chosen {
				for i := 0; i < len(n.Content); i += 2 {
					walk(strings.TrimPrefix(path+"."+n.Content[i].Value, "."), n.Content[i+1])
				}
				return
			}
			environ = append(environ, config.Variable(path)+"="+environmentText(t, n))
		}
		var document yaml.Node
		if err := yaml.Load([]byte(text), &document); err != nil {
			t.Fatal(err)
		}
		walk("", document.Content[0])
		c, err := config.Load("", environ)
		if err != nil {
			t.Fatalf("refused:\n%v\nenvironment:\n%s", err, strings.Join(environ, "\n"))
		}
		equal(t, c, parse(t, text))
	}
}

// A section can be set by one variable.
func TestEverySectionHasAVariable(t *testing.T) {
	for _, text := range []string{everyKratos, everyEmbedded} {
		var document yaml.Node
		if err := yaml.Load([]byte(text), &document); err != nil {
			t.Fatal(err)
		}
		var environ []string
		for i, n := 0, document.Content[0]; i < len(n.Content); i += 2 {
			environ = append(environ, config.Variable(n.Content[i].Value)+"="+environmentText(t, n.Content[i+1]))
		}
		equal(t, parse(t, agreed, environ...), parse(t, text))
	}
}

// A variable that is there and empty is refused under its own name and nothing else is, whatever it would set.
func TestEmptyVariables(t *testing.T) {
	f := func(name, file, value string) {
		t.Helper()
		_, err := config.Parse("f", []byte(file), []string{name + "=" + value})
		if want := "environment: " + name + ": is empty: give it a value, or remove the variable"; err == nil || err.Error() != want {
			t.Errorf("%s=%q: got %v, want %s", name, value, err, want)
		}
	}
	for _, key := range config.Keys() {
		if !strings.Contains(key, "[]") {
			f(config.Variable(key), agreed, "")
		}
	}
	f("GATEHOUSE_CONFIG", agreed, "")
	f("GATEHOUSE_APP", agreed, " \t")
	f("GATEHOUSE_UPSTREAM", "", "")
	f("GATEHOUSE_UPSTREAM_KRATOS", "", "")
	f("GATEHOUSE_UPSTREAM_KRATOS_URL", "", "")
	f("GATEHOUSE_UPSTREAM_KRATOS_URL", "upstream: { kratos: { cookie: sid } }", "")
	f("GATEHOUSE_HOOKS_KEYS", "upstream: { embedded: {} }\nhooks: { path: /h }", "")
}

// environmentText returns a value as a variable holds it: a single value as it is, and everything else as YAML flow text.
func environmentText(t *testing.T, n *yaml.Node) string {
	t.Helper()
	if n.Kind == yaml.ScalarNode && n.Value == "" {
		return `""`
	}
	if n.Kind == yaml.ScalarNode {
		return n.Value
	}
	flow := *n
	flow.Style = yaml.FlowStyle
	b, err := yaml.Dump(&flow, yaml.WithLineWidth(-1))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(b), "\n") > 1 {
		t.Fatalf("not in one line: %s", b)
	}
	return strings.TrimSpace(string(b))
}

func TestEnvironmentWins(t *testing.T) {
	const file = `
upstream: { kratos: { url: http://127.0.0.1:4433, cookie: sid }, timeout: 2s }
log: { level: debug, format: text }
trusted_proxies: [192.0.2.1]
routes: [{ match: { path: /a }, access: deny }]
`
	f := func(want string, environ ...string) { // want is the same said in a file
		t.Helper()
		equal(t, parse(t, file, environ...), parse(t, want))
	}
	const (
		upstream = "upstream: { kratos: { url: http://127.0.0.1:4433, cookie: sid }, timeout: 2s }\n"
		rest     = "log: { level: debug, format: text }\ntrusted_proxies: [192.0.2.1]\nroutes: [{ match: { path: /a }, access: deny }]\n"
	)
	f(file, "PATH=/bin", "GATEHOUSE_CONFIG=/etc/gatehouse.yaml", "GATEHOUSEX=1", "gatehouse_listen=1", "=", "GATEHOUSE")
	f(file+"listen: 127.0.0.1:1", "GATEHOUSE_LISTEN=127.0.0.1:2", "GATEHOUSE_LISTEN=127.0.0.1:1") // the last one counts
	f(file+`admin: ""`, `GATEHOUSE_ADMIN=""`)
	f(file+"app: http://a", "GATEHOUSE_APP=http://a")

	// One key of a section leaves the others alone; the section as a whole replaces them.
	f("upstream: { kratos: { url: http://127.0.0.1:1, cookie: sid }, timeout: 2s }\n"+rest,
		"GATEHOUSE_UPSTREAM_KRATOS_URL=http://127.0.0.1:1")
	f("upstream: { kratos: { url: http://127.0.0.1:1 }, timeout: 2s }\n"+rest, "GATEHOUSE_UPSTREAM_KRATOS={url: http://127.0.0.1:1}")
	f("upstream: { embedded: { path: x } }\n"+rest, "GATEHOUSE_UPSTREAM={embedded: {path: x}}")
	f("upstream: { embedded: { path: y } }\n"+rest, "GATEHOUSE_UPSTREAM={embedded: {path: x}}", "GATEHOUSE_UPSTREAM_EMBEDDED_PATH=y")
	f("upstream: { embedded: { path: y } }\n"+rest, "GATEHOUSE_UPSTREAM_EMBEDDED_PATH=y", "GATEHOUSE_UPSTREAM={embedded: {path: x}}")

	// Lists and maps are replaced.
	const routes = "routes: [{ match: { path: /a }, access: deny }]\nlog: { level: debug, format: text }\n"
	f(upstream+routes+"trusted_proxies: [10.0.0.0/8, 192.0.2.2]", "GATEHOUSE_TRUSTED_PROXIES=10.0.0.0/8, 192.0.2.2")
	f(upstream+routes+"trusted_proxies: [10.0.0.0/8, 192.0.2.2]", "GATEHOUSE_TRUSTED_PROXIES=[10.0.0.0/8, 192.0.2.2]")
	f(upstream+routes+`trusted_proxies: ["::1"]`, "GATEHOUSE_TRUSTED_PROXIES=::1")
	f(upstream+routes+"trusted_proxies: []", "GATEHOUSE_TRUSTED_PROXIES=[]")
	f(file+"credentials: [bearer]", "GATEHOUSE_CREDENTIALS=bearer")
	f(file+"identity_headers: { X-B: b, X-A: a }", "GATEHOUSE_IDENTITY_HEADERS={X-B: b, X-A: a}")
	f(upstream+"log: { level: debug, format: text }\ntrusted_proxies: [192.0.2.1]\nroutes: [{ match: { path: /* }, access: session }]",
		"GATEHOUSE_ROUTES=[{match: {path: /*}, access: session}]")
}

// A mistake in the file is no longer one when a variable replaces it, unless the file cannot be read as what it is.
func TestEnvironmentReplacesMistakes(t *testing.T) {
	f := func(want string, environ ...string) {
		t.Helper()
		got := ""
		const file = "upstream: { embedded: {} }\nlisten: nowhere\nroutes:\n  - { match: { path: a }, access: session }\nexplain: maybe\n"
		if _, err := config.Parse("f", []byte(file), environ); err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: messages (-want +got):\n%s", environ, diff)
		}
	}
	const (
		listen = "f:2:9: listen: want host:port with a number as port, such as 127.0.0.1:8080, :8080 for every address, " +
			"unix:/path, systemd or systemd:NAME, got `nowhere`\n"
		routes = "f:4:22: routes[0].match.path: want a path that begins with a slash, got `a`\n"
		maybe  = "f:5:10: explain: want true or false, got `maybe`"
	)
	f(listen + routes + maybe)
	f(routes+maybe, "GATEHOUSE_LISTEN=:1")
	f(listen+maybe, "GATEHOUSE_ROUTES=[{match: {path: /a}, access: session}]")
	f(listen+routes+maybe+"\nenvironment: GATEHOUSE_EXPLAIN: want true or false, got `perhaps`", "GATEHOUSE_EXPLAIN=perhaps")
	f(maybe+"\nenvironment: GATEHOUSE_ROUTES[0].match.path: want a path that begins with a slash, got `b`",
		"GATEHOUSE_LISTEN=:1", "GATEHOUSE_ROUTES=[{match: {path: b}, access: session}]")
}
