package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/metrics"
	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream/guard"
)

// TestMetrics compares the table of metrics with what is registered: names, types and labels.
func TestMetrics(t *testing.T) {
	m := metrics.New(metrics.BuildInfo{})
	m.Upstream("kratos")
	m.WatchGuard("kratos", guard.New(nil, guard.Config{}))
	m.WatchCache("kratos", func() sessioncache.Stats { return sessioncache.Stats{} })
	m.WatchConnections(func() int { return 0 })
	m.WatchTunnels(func() int { return 0 })
	m.RateLimit("kratos")(1)
	m.RevocationsHeard("kratos", metrics.RevokedByPostgres, true)
	m.CertificateLoaded(":443", time.Now())
	m.App("http://127.0.0.1:3000")
	m.WatchApps(func() map[string]bool { return map[string]bool{"http://127.0.0.1:3000": false} })
	families, err := m.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "gatehouse_") {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		slices.Sort(labels)
		want = append(want, fmt.Sprint(f.GetName(), " ", strings.ToLower(f.GetType().String()), " ", labels))
	}
	var got []string
	row := regexp.MustCompile("(?m)^\\| `(gatehouse_\\w+)` \\| (\\w+) \\| ([^|]*)\\|")
	for _, m := range row.FindAllStringSubmatch(read(t, "reference/metrics.md"), -1) {
		labels := regexp.MustCompile(`\w+`).FindAllString(m[3], -1)
		slices.Sort(labels)
		got = append(got, fmt.Sprint(m[1], " ", m[2], " ", labels))
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reference/metrics.md (+) is not what is registered (-):\n%s", diff)
	}
	known := strings.Join(want, " ")
	for _, name := range files(t) {
		for _, metric := range regexp.MustCompile(`gatehouse_[a-z_]+[a-z]`).FindAllString(read(t, name), -1) {
			if !strings.Contains(known, strings.TrimSuffix(metric, "_bucket")+" ") {
				t.Errorf("%s: there is no metric %s", name, metric)
			}
		}
	}
}

// TestReasons compares the table of reasons with the constants of policy.
func TestReasons(t *testing.T) {
	want := constants(t, "../internal/policy", "Reason")
	if !slices.Contains(want, string(policy.NoSession)) {
		t.Fatalf("reasons were not found: %v", want)
	}
	if diff := cmp.Diff(want, column(t, "reference/http.md", "Reasons")); diff != "" {
		t.Errorf("the reasons in reference/http.md (+) are not those of internal/policy (-):\n%s", diff)
	}
}

// TestTargetDetails compares the table of what is wrong with targets with the constants of proxy.
func TestTargetDetails(t *testing.T) {
	want := constants(t, "../proxy", "targetError")
	if !slices.Contains(want, "dot_segment") {
		t.Fatalf("details were not found: %v", want)
	}
	if diff := cmp.Diff(want, column(t, "reference/http.md", "Targets")); diff != "" {
		t.Errorf("the details in reference/http.md (+) are not those of proxy (-):\n%s", diff)
	}
}

// constants returns the texts of the constants of a type in a package, sorted.
func constants(t *testing.T, dir, name string) (texts []string) {
	t.Helper()
	for _, file := range sources(t, dir) {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || spec.Type == nil || fmt.Sprint(spec.Type) != name {
				return true
			}
			for _, v := range spec.Values {
				text, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				texts = append(texts, text)
			}
			return true
		})
	}
	slices.Sort(texts)
	return texts
}

// TestStatuses compares the table of statuses with those of 400 and above that the package proxy names.
func TestStatuses(t *testing.T) {
	codes := map[string]string{}
	for code := 400; code < 600; code++ {
		if text := http.StatusText(code); text != "" {
			codes["Status"+strings.ReplaceAll(text, " ", "")] = strconv.Itoa(code)
		}
	}
	want := map[string]bool{}
	for _, file := range sources(t, "../proxy") {
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && codes[s.Sel.Name] != "" {
				want[codes[s.Sel.Name]] = true
			}
			return true
		})
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), column(t, "reference/http.md", "Statuses")); diff != "" {
		t.Errorf("the statuses in reference/http.md (+) are not those of proxy (-):\n%s", diff)
	}
}

// TestCommands compares the table of commands with those of the program.
func TestCommands(t *testing.T) {
	var want []string
	for _, file := range sources(t, "../cmd/gatehouse") {
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok || len(lit.Elts) != 4 {
				return true
			}
			if name, ok := lit.Elts[0].(*ast.BasicLit); ok {
				args := lit.Elts[1].(*ast.BasicLit)
				want = append(want, strings.TrimSpace("gatehouse "+strings.Trim(name.Value, `"`)+" "+strings.Trim(args.Value, `"`)))
			}
			return true
		})
	}
	want = append(want, "gatehouse help")
	slices.Sort(want)
	if len(want) < 5 {
		t.Fatalf("commands were not found: %v", want)
	}
	got := column(t, "reference/cli.md", "Commands")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the commands in reference/cli.md (+) are not those of the program (-):\n%s", diff)
	}
}

// TestNamedTests looks for the tests that the explanations name.
func TestNamedTests(t *testing.T) {
	var all strings.Builder
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			all.WriteString(read(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for file, least := range map[string]int{"explanation/promises.md": 15, "explanation/attacks.md": 80} {
		names := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(read(t, file), -1)
		if len(names) < least {
			t.Fatalf("%s names only %d tests", file, len(names))
		}
		for _, m := range names {
			if !strings.Contains(all.String(), "\nfunc "+m[1]+"(t *testing.T)") && !strings.Contains(all.String(), "\nfunc "+m[1]+"(f *testing.F)") {
				t.Errorf("%s names %s, which does not exist", file, m[1])
			}
		}
	}
}

// sources parses the files of a package, tests aside.
func sources(t *testing.T, dir string) (list []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(dir + "/*.go")
	if err != nil || len(names) == 0 {
		t.Fatalf("no sources in %s: %v", dir, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, file)
	}
	return list
}
