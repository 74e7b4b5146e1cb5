package docs

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// A measurement is what reference/performance.json holds, as far as it is quoted.
type measurement struct {
	Contests []struct {
		Title string
		Rows  []struct {
			Name  string
			Ratio *struct{ Median, Min, Max float64 }
		}
	}
}

func readMeasurement(t *testing.T) (m measurement) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, "reference/performance.json")), &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Contests) == 0 {
		t.Fatal("reference/performance.json holds no contest")
	}
	return m
}

// ratio returns how many times as much as an opponent Gatehouse takes, as it is quoted.
func (m measurement) ratio(anchor, opponent string) (string, bool) {
	for _, c := range m.Contests {
		for _, row := range c.Rows {
			if anchors("## " + c.Title)[0] == anchor && row.Name == opponent && row.Ratio != nil {
				return times(row.Ratio.Median), true
			}
		}
	}
	return "", false
}

// times returns a ratio as the page shows it.
func times(ratio float64) string {
	if ratio < 0.2 {
		return fmt.Sprintf("%.3f ×", ratio)
	}
	return fmt.Sprintf("%.2f ×", ratio)
}

// A claim is a link to a table of the performance page, whose text is a ratio and whose title is the opponent.
var claim = regexp.MustCompile(`\[(\d+\.\d{2,3} ×)\]\([^)\s]*performance\.md#(\S+) "([^"]+)"\)`)

// TestClaims holds every ratio that is quoted to what was measured last. With -update, it writes what was.
func TestClaims(t *testing.T) {
	m := readMeasurement(t)
	for _, name := range files(t) {
		text := read(t, name)
		current := claim.ReplaceAllStringFunc(text, func(link string) string {
			parts := claim.FindStringSubmatch(link)
			measured, ok := m.ratio(parts[2], parts[3])
			if !ok {
				t.Errorf("%s: no ratio to %q was measured in %s", name, parts[3], parts[2])
				return link
			}
			if parts[1] != measured && !*update {
				t.Errorf("%s: %s is claimed, but %s was measured: run go test ./docs -update", name, link, measured)
			}
			return strings.Replace(link, parts[1], measured, 1)
		})
		if *update && current != text {
			if err := os.WriteFile(name, []byte(current), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	readme := read(t, root+"/README.md")
	if len(claim.FindAllString(readme, -1)) == 0 {
		t.Error("README.md claims nothing")
	}
	if stray := regexp.MustCompile(`[\d.]+ ×`).FindString(claim.ReplaceAllString(readme, "")); stray != "" {
		t.Errorf("README.md claims %q without saying where it was measured", stray)
	}
}

// TestPerformancePage holds the page to the data: every ratio stands under its heading, and nothing says whose machine it was.
func TestPerformancePage(t *testing.T) {
	page := read(t, "reference/performance.md")
	for _, c := range readMeasurement(t).Contests {
		_, section, _ := strings.Cut(page, "\n## "+c.Title+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		for _, row := range c.Rows {
			want := "\n| " + row.Name + " |"
			if row.Ratio != nil {
				want = fmt.Sprintf("**%s** (%s – %s)", times(row.Ratio.Median), times(row.Ratio.Min), times(row.Ratio.Max))
			}
			if !strings.Contains(section, want) {
				t.Errorf("reference/performance.md does not say %q under %q", want, c.Title)
			}
		}
	}
	private := regexp.MustCompile(`(?m)(^|[\s"(|])/(home|root|tmp|usr|var|work|opt)/`)
	for _, name := range []string{"reference/performance.md", "reference/performance.json"} {
		text := read(t, name)
		if path := private.FindString(text); path != "" {
			t.Errorf("%s has an absolute path: %q", name, path)
		}
		if host, err := os.Hostname(); err != nil {
			t.Error(err)
		} else if regexp.MustCompile(`\b`+regexp.QuoteMeta(host)+`\b`).MatchString(text) && host != "localhost" {
			t.Errorf("%s names the machine: %s", name, host)
		}
	}
}
