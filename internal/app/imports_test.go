package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gatehouse-proxy/gatehouse/"

// mayImport says which packages of this module each package may import. A package that is not listed may import none, so that a new one
// has to be thought about. A name that ends in / stands for everything below it.
var mayImport = map[string][]string{
	"cmd/gatehouse":                {"internal/app", "internal/config", "internal/demo", "internal/doctor", "internal/garbage", "internal/metrics", "internal/parts", "upstream"},
	"internal/admin":               {"upstream"},
	"internal/app":                 {"internal/", "proxy", "sessioncache", "upstream", "upstream/"},
	"internal/config":              {"internal/expression", "internal/parts", "internal/policy", "internal/sessionapi", "upstream"},
	"internal/demo":                {"internal/app", "internal/config", "internal/metrics"},
	"internal/identitytoken":       {"internal/policy", "upstream"},
	"internal/expression":          {"internal/parts"},
	"internal/extauthz":            {"internal/parts", "proxy"},
	"internal/metrics":             {"internal/policy", "proxy", "sessioncache", "upstream", "upstream/guard"},
	"internal/policy":              {"upstream"},
	"internal/revocation/postgres": {"internal/parts"},
	"internal/revocation/webhook":  {},
	"internal/sessionapi":          {"upstream"},
	"internal/sessiontoken":        {"upstream"},
	"internal/whoami":              {"upstream"},
	"proxy":                        {"internal/policy", "upstream"},
	"sessioncache":                 {"upstream"},
	"upstream/embedded":            {"internal/pipe", "internal/whoami", "upstream"},
	"upstream/guard":               {"upstream"},
	"upstream/anyhttp":             {"upstream", "upstream/httpclient"},
	"upstream/betterauth":          {"upstream", "upstream/httpclient"},
	"upstream/crossid":             {"upstream", "upstream/httpclient"},
	"upstream/httpclient":          {"internal/giveway", "upstream"},
	"upstream/kratos":              {"upstream", "upstream/httpclient"},
	"upstream/upstreamtest":        {"internal/pipe", "upstream"},
	"upstream/wacht":               {"upstream", "upstream/httpclient"},
}

// onlyIn says which packages alone may import a library that must not spread.
var onlyIn = map[string][]string{
	"github.com/prometheus/client_golang": {"internal/metrics", "internal/admin"},
	"github.com/valyala/fasthttp":         {"proxy"},
	"cel.dev/cel-go":                      {"internal/expression"},
	"github.com/dgraph-io/ristretto":      {"sessioncache"},
	"github.com/go-jose/go-jose":          {"internal/identitytoken"},
	"github.com/hashicorp/golang-lru":     {"internal/sessiontoken", "sessioncache", "upstream/guard"},
	"google.golang.org/grpc":              {"internal/extauthz"},
	"github.com/envoyproxy":               {"internal/extauthz"},
	"github.com/pires/go-proxyproto":      {"internal/listen"},
	"github.com/jackc/pgx":                {"internal/revocation/postgres"},
	"go.yaml.in/yaml":                     {"internal/config"},
}

// TestImports holds the structure that design and documentation promise: which package knows which.
func TestImports(t *testing.T) {
	for _, pkg := range list(t) {
		name := strings.TrimPrefix(pkg.ImportPath, module)
		for _, path := range pkg.Imports {
			if own, ok := strings.CutPrefix(path, module); ok && !allowed(mayImport[name], own) {
				t.Errorf("%s imports %s", name, own)
			}
			for library, homes := range onlyIn {
				if strings.HasPrefix(path, library) && !slices.Contains(homes, name) {
					t.Errorf("%s imports %s", name, path)
				}
			}
			if first, _, _ := strings.Cut(path, "/"); name == "upstream" && strings.Contains(first, ".") {
				t.Errorf("upstream imports %s, which is not of the standard library", path)
			}
		}
	}
}

func allowed(list []string, name string) bool {
	return slices.ContainsFunc(list, func(a string) bool {
		return a == name || strings.HasSuffix(a, "/") && strings.HasPrefix(name, a)
	})
}

type listed struct {
	ImportPath string
	Imports    []string
}

func list(t *testing.T) (pkgs []listed) {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("read list of packages: %v", err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 5 {
		t.Fatalf("only %d packages were listed", len(pkgs))
	}
	return pkgs
}
