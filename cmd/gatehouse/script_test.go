package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"gatehouse": main})
}

// TestScripts runs the command as an operator does: testdata/script has one story a file.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":  exits,
			"deploy": deploy,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// deploy serves a page that needs the session s3cr3t, at $PAGE: deploy sound, or deploy open, where it needs none.
// With tls it is served by TLS, with a certificate of which the authority is in ca.pem.
func deploy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: deploy sound|open [tls]")
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Server", "Caddy")
		cookie, err := r.Cookie("ory_kratos_session")
		if (err != nil || cookie.Value != "s3cr3t") && r.Header.Get("X-Session-Token") != "s3cr3t" && args[0] != "open" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintln(w, r.URL.Path)
		_ = r.Header.Write(w) // the credential too, as bad applications do
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if len(args) > 1 {
		server.StartTLS()
		authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), authority, 0o600))
	} else {
		server.Start()
	}
	ts.Defer(server.Close)
	ts.Setenv("PAGE", server.URL+"/private")
	ts.Setenv("ADDRESS", server.Listener.Addr().String())
}

// exits runs a command that must end with the exit code given: exits CODE COMMAND ARGUMENTS. Its output is in the files out and err of the
// script.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGUMENTS")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	path, err := exec.LookPath(args[1])
	ts.Check(err)
	stdout, err := os.Create(ts.MkAbs("out"))
	ts.Check(err)
	defer stdout.Close()
	stderr, err := os.Create(ts.MkAbs("err"))
	ts.Check(err)
	defer stderr.Close()
	cmd := exec.Command(path, args[2:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), stdout, stderr
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	if file := ts.Getenv("GATEHOUSE_CONFIG"); file != "" {
		cmd.Env = append(cmd.Env, "GATEHOUSE_CONFIG="+file)
	}
	err = cmd.Run()
	exit, failed := errors.AsType[*exec.ExitError](err)
	switch {
	case failed && exit.ExitCode() == want, err == nil && want == 0:
	case failed:
		ts.Fatalf("exit code %d, want %d; standard error:\n%s", exit.ExitCode(), want, ts.ReadFile("err"))
	case err != nil:
		ts.Fatalf("run: %v", err)
	default:
		ts.Fatalf("exit code 0, want %d", want)
	}
}
