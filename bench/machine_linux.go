package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gatehouse-proxy/gatehouse/bench/report"
)

// describeMachine says what figures depend on, and not whose machine it is.
func describeMachine() (m report.Machine, err error) {
	cpuinfo, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m, fmt.Errorf("describe processor: %w", err)
	}
	m.CPU = runtime.GOARCH
	for line := range strings.Lines(string(cpuinfo)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return m, fmt.Errorf("describe kernel: %w", err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	m.Kernel = "Linux " + release[:strings.IndexFunc(release+" ", func(r rune) bool { return (r < '0' || r > '9') && r != '.' })]
	average, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return m, fmt.Errorf("look at load: %w", err)
	}
	if _, err := fmt.Sscan(string(average), &m.Load); err != nil {
		return m, fmt.Errorf("look at load: %w", err)
	}
	return m, nil
}

// versions returns those of everybody who took part.
func (a *arena) versions() []report.Version {
	all := []report.Version{{Name: "Go", Version: strings.TrimPrefix(runtime.Version(), "go")}, {Name: "fasthttp", Version: moduleVersion("github.com/valyala/fasthttp")}}
	for program, args := range map[string][]string{
		"nginx": {"-v"}, "HAProxy": {"-v"}, "Caddy": {"version"}, "Authelia": {"--version"}, "oauth2-proxy": {"--version"}, "Oathkeeper": {"version"},
	} {
		command := strings.ToLower(program)
		out, err := exec.Command(command, args...).CombinedOutput()
		if err != nil {
			continue // it did not take part, which is said elsewhere
		}
		first, _, _ := strings.Cut(string(out), "\n")
		fields := strings.FieldsFunc(first, func(r rune) bool { return r == ' ' || r == '/' || r == '\n' })
		isVersion := func(s string) bool {
			return strings.ContainsAny(strings.TrimPrefix(s, "v")[:1], "0123456789") && strings.Contains(s, ".")
		}
		if i := slices.IndexFunc(fields, isVersion); i >= 0 {
			all = append(all, report.Version{Name: program, Version: fields[i]})
		}
	}
	return all
}
