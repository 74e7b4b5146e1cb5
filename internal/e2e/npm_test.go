package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A script is a directory with programs for Node.js, and what they need of npm, pinned in their package-lock.json.
type script struct {
	t    *testing.T
	dir  string
	node string
}

// install makes a directory of the one in testdata.
func install(t *testing.T, name string) *script {
	t.Helper()
	s := &script{t: t, dir: t.TempDir()}
	var err error
	if s.node, err = exec.LookPath("node"); err != nil {
		t.Fatalf("node is not there: install Node.js 20 or later (Debian: apt-get install nodejs npm)")
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Fatalf("npm is not there: install it (Debian: apt-get install npm)")
	}
	if err := os.CopyFS(s.dir, os.DirFS(filepath.Join("testdata", name))); err != nil {
		t.Fatal(err)
	}
	ci := exec.CommandContext(t.Context(), npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	ci.Dir = s.dir
	if out, err := ci.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return s
}

// run runs client.mjs and reads the JSON that it writes into v.
func (s *script) run(v any, args ...string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), s.node, append([]string{"client.mjs"}, args...)...)
	cmd.Dir = s.dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("client: %v\n%s", err, &stderr)
	}
	if err := json.Unmarshal(out, v); err != nil {
		s.t.Fatalf("client: %v, %s", err, out)
	}
}
