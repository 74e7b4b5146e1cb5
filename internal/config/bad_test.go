package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
)

// Every file in testdata/bad says at its top which messages it must produce, all of them and nothing else: a comment "want:" for every
// line. A comment "env:" sets a variable.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in testdata/bad: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want, environ []string
			for line := range strings.Lines(string(data)) {
				if message, ok := strings.CutPrefix(line, "# want: "); ok {
					want = append(want, strings.TrimSpace(message))
				}
				if variable, ok := strings.CutPrefix(line, "# env: "); ok {
					environ = append(environ, strings.TrimSuffix(variable, "\n"))
				}
			}
			c, err := config.Parse(filepath.Base(file), data, environ)
			if err == nil || c != nil {
				t.Fatalf("got %v, %v; want a refusal", c, err)
			}
			if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
		})
	}
}
