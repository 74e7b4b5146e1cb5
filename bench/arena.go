package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
)

// An arena is where contests are held: who takes part in them is started when it is first asked for, and stopped when all is over.
type arena struct {
	settings
	cpus    processors
	dir     string
	app     *server
	session *session // of the first Gatehouse
	running map[string]*server
}

// A kind is a way to start a server. Its name says everything that makes a difference.
type kind struct {
	name  string
	start func(*arena) (*server, error)
}

// errMissing says that a program is not there.
var errMissing = errors.New("is not installed")

func newArena(s settings) (a *arena, err error) {
	a = &arena{settings: s, running: map[string]*server{}}
	if a.cpus, err = someProcessors(); err != nil {
		return nil, err
	}
	if err := pin(os.Getpid(), a.cpus.load); err != nil { // before there are children, who would be bound too
		return nil, err
	}
	runtime.GOMAXPROCS(1)
	if a.dir, err = os.MkdirTemp("", "gatehouse-bench-"); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if a.app, err = a.server(application); err != nil {
		return nil, err
	}
	g, err := a.server(gatehouse)
	if err != nil {
		return nil, err
	}
	a.session = g.session
	return a, nil
}

func (a *arena) close() {
	for _, s := range a.running {
		s.stop()
	}
	_ = os.RemoveAll(a.dir)
}

// server returns the server of a kind, which is started if there is none.
func (a *arena) server(k kind) (*server, error) {
	if s := a.running[k.name]; s != nil {
		return s, nil
	}
	s, err := k.start(a)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", k.name, err)
	}
	a.running[k.name] = s
	return s, nil
}

// directory returns a new directory for one server.
func (a *arena) directory(name string) (string, error) {
	dir, err := os.MkdirTemp(a.dir, name+"-")
	if err != nil {
		return "", fmt.Errorf("make directory: %w", err)
	}
	return dir, nil
}

// write writes a file for one server, and returns where it is.
func (a *arena) write(name string, text []byte) (string, error) {
	dir, err := a.directory("file")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	return path, nil
}

// moduleVersion returns the version of a module that this program is built with.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return "unknown"
}
