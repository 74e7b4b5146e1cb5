//go:build core

package main

import (
	"bytes"
	"strings"
	"testing"
)

// A core build says what it is, and does not do what it cannot.
func TestCore(t *testing.T) {
	f := func(code int, wantOut, wantErr string, args ...string) {
		t.Helper()
		var out, err bytes.Buffer
		if got := run(args, nil, &out, &err); got != code || !strings.Contains(out.String(), wantOut) || !strings.Contains(err.String(), wantErr) {
			t.Errorf("%v: exit code %d, output %q, errors %q; want %d, %q, %q", args, got, out.String(), err.String(), code, wantOut, wantErr)
		}
	}
	f(exitOK, "core build, without cel, grpc, postgres, demo\n", "", "version")
	f(exitOK, `"parts":[],"without":["cel","grpc","postgres","demo"]`, "", "version", "--json")
	var help bytes.Buffer
	if run([]string{"help"}, nil, &help, &help); !strings.Contains(help.String(), "serve") || strings.Contains(help.String(), "demo") {
		t.Errorf("help lists what there is not:\n%s", help.String())
	}
	f(exitFailed, "", "this build has no demo: use the full build", "demo")
}
