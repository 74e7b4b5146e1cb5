package docs

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
)

const root = ".."

// files are all Markdown files that are for readers, by their path from here.
func files(t *testing.T) []string {
	t.Helper()
	list := []string{root + "/README.md", root + "/CHANGELOG.md", root + "/CONTRIBUTING.md", root + "/SECURITY.md"}
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			list = append(list, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 15 {
		t.Fatalf("only %d files were found", len(list))
	}
	return list
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	fence  = regexp.MustCompile("(?ms)^ *```([a-z]*)[^\n]*\n(.*?)^ *```$")
	link   = regexp.MustCompile(`\]\(([^)\s]+)(?: "[^"]*")?\)`)
	title  = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	cell   = regexp.MustCompile("(?m)^\\| `([^`|]+)` \\|")
	noSlug = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// TestLinks follows every relative link, to the heading if it names one. Links to other sites are not followed.
func TestLinks(t *testing.T) {
	count := 0
	for _, from := range files(t) {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(read(t, from), ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			count++
			path, anchor, _ := strings.Cut(m[1], "#")
			target := from
			if path != "" {
				target = filepath.Join(filepath.Dir(from), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: link to %s: %v", from, m[1], err)
			} else if anchor != "" && !slices.Contains(anchors(read(t, target)), anchor) {
				t.Errorf("%s: link to %s: there is no such heading", from, m[1])
			}
		}
	}
	if count < 30 {
		t.Errorf("only %d links were found", count)
	}
}

// anchors returns the anchors that GitHub gives to the headings of a text.
func anchors(text string) (list []string) {
	for _, m := range title.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		slug := noSlug.ReplaceAllString(strings.ToLower(m[1]), "")
		list = append(list, strings.ReplaceAll(slug, " ", "-"))
	}
	return list
}

// TestConfigurations loads every configuration that is shown: blocks that begin with "# gatehouse.yaml" or name an upstream. A block that
// shows a part gets an upstream, which no configuration can do without. One that is whole gives no reason for a warning.
func TestConfigurations(t *testing.T) {
	blocks := map[string]string{}
	for _, name := range files(t) {
		for _, m := range fence.FindAllStringSubmatch(read(t, name), -1) {
			if m[1] == "yaml" && (strings.HasPrefix(m[2], "# gatehouse.yaml") || strings.Contains(m[2], "upstream:")) {
				first, _, _ := strings.Cut(m[2], "\n\n")
				blocks[name+": "+first] = m[2]
			}
		}
	}
	const manifest = root + "/deploy/kubernetes/sidecar.yaml"
	_, block, _ := strings.Cut(read(t, manifest), "config.yaml: |\n")
	blocks[manifest], _, _ = strings.Cut(block, "\n---")
	if len(blocks) < 6 || !strings.Contains(blocks[manifest], "upstream:") {
		t.Errorf("only %d configurations were found, or not the one of %s", len(blocks), manifest)
	}
	for name, block := range blocks {
		whole := strings.Contains(block, "upstream:") || strings.Contains(block, "upstreams:")
		if !whole {
			block += "\nupstream: { kratos: { url: http://127.0.0.1:4433 } }\n"
		}
		var environ []string
		if !strings.Contains(block, "app:") { // the application is not what it is about
			environ = []string{"GATEHOUSE_APP=http://127.0.0.1:3000"}
		}
		c, err := config.Parse("block", []byte(block), environ)
		if err != nil {
			t.Errorf("%s\n%v", name, err)
		} else if warnings := c.Warnings(); whole && len(warnings) > 0 {
			t.Errorf("%s\nwarns: %v", name, warnings)
		}
	}
}

// TestAdditions adds what is to be added to a configuration to that of the README.
func TestAdditions(t *testing.T) {
	first := ""
	for _, m := range fence.FindAllStringSubmatch(read(t, root+"/README.md"), -1) {
		if strings.HasPrefix(m[2], "# gatehouse.yaml") {
			first = m[2]
		}
	}
	count := 0
	for _, name := range files(t) {
		for _, m := range fence.FindAllStringSubmatch(read(t, name), -1) {
			if !strings.HasPrefix(m[2], "# add to gatehouse.yaml") {
				continue
			}
			count++
			if _, err := config.Parse("block", []byte(first+m[2]), nil); err != nil {
				t.Errorf("%s\n%s\n%v", name, m[2], err)
			}
		}
	}
	if first == "" || count == 0 {
		t.Errorf("%d additions to %q", count, first)
	}
}

// TestVariablesReachGatehouse holds that what is pasted into a shell sets variables for Gatehouse and not for the shell alone.
func TestVariablesReachGatehouse(t *testing.T) {
	alone := regexp.MustCompile(`(?m)^ *GATEHOUSE_\w+=("[^"]*"|'[^']*'|[^\s"'])*$`)
	for _, name := range files(t) {
		for _, m := range fence.FindAllStringSubmatch(read(t, name), -1) {
			if line := alone.FindString(m[2]); m[1] == "bash" && line != "" {
				t.Errorf("%s: %s: export it, or put it before the command", name, line)
			}
		}
	}
}

// column returns the words in backquotes in the first column of the tables of a section.
func column(t *testing.T, name, heading string) []string {
	t.Helper()
	_, section, found := strings.Cut(read(t, name), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no section %q", name, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	words := map[string]bool{}
	for _, m := range cell.FindAllStringSubmatch(section, -1) {
		words[m[1]] = true
	}
	return slices.Sorted(maps.Keys(words))
}
