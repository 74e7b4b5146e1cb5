package doctor_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/doctor"
)

// TestDocumented compares the findings with those that the guide explains, and looks for a test that provokes each.
func TestDocumented(t *testing.T) {
	read := func(file string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	_, guide, _ := strings.Cut(read("../../docs/how-to/doctor.md"), "\n## Findings\n")
	var explained []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(guide, -1) {
		explained = append(explained, m[1])
	}
	slices.Sort(explained)
	if diff := cmp.Diff(doctor.IDs(), explained); diff != "" {
		t.Errorf("the guide: %s", diff)
	}
	tests := read("doctor_test.go")
	for _, id := range doctor.IDs() {
		if !strings.Contains(tests, `"`+id+`"`) {
			t.Errorf("no test provokes %s", id)
		}
	}
}
