package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"strings"
)

// Load reads the file at path, applies the environment (as of [os.Environ]) and validates the result. An empty path means that there
// is no file, and everything comes from the environment. Of two entries for a variable the later one counts, so that a caller can append
// what the command line says. The error is [Errors], with every mistake.
func Load(path string, environ []string) (*Config, error) {
	c, _, err := Check(path, environ)
	return c, err
}

// Check is [Load], and also returns what an operator may have meant and should know about, with where it is.
func Check(path string, environ []string) (*Config, Errors, error) {
	if path == "" {
		return parse("", nil, environ)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathErr.Err // the path is said already
		}
		return nil, nil, Errors{{File: path, Message: fmt.Sprintf("read configuration: %v", err)}}
	}
	return parse(path, data, environ)
}

// Parse is [Load] for a file that has been read already. name is what errors call it; empty means that there is no file.
func Parse(name string, data []byte, environ []string) (*Config, error) {
	c, _, err := parse(name, data, environ)
	return c, err
}

func parse(name string, data []byte, environ []string) (*Config, Errors, error) {
	c := Default()
	l := loader{file: name, set: map[string]origin{}, failed: map[string]bool{}, broken: map[string]bool{}}
	if name != "" {
		l.set[""] = origin{line: 1, column: 1}
	}
	if n := l.document(data); n != nil {
		l.value("", n, reflect.ValueOf(&c).Elem())
	}
	l.environment(environ, &c)
	if !l.failed[""] {
		l.settle(&c)
		l.validate(&c)
	}
	if len(l.errs) > 0 {
		l.errs.sort()
		return nil, nil, l.errs
	}
	for _, warning := range c.Warnings() {
		path, message, _ := strings.Cut(warning, ": ")
		l.add(l.origin(path), path, message)
	}
	l.errs.sort()
	return &c, l.errs, nil
}

// A loader fills a Config. It remembers where every key was set, so that whatever is found to be wrong with it later can be reported
// there, and it collects mistakes instead of stopping at the first.
//
// A path names a key as an operator would: upstream.timeout, routes[1].match.path. The path of the whole configuration is empty.
type loader struct {
	file string
	from origin // of what is being decoded: nothing for the file, then one variable after the other
	set  map[string]origin
	errs Errors

	failed map[string]bool // paths whose value could not be decoded: whatever else is wrong there only follows from that
	broken map[string]bool // paths with a mistake in or below them
}

// An origin is the place where a key was set: a position in the file, or a variable.
type origin struct {
	line, column int
	variable     string
	path         string // of the key that the variable sets
}

// origin returns where the key at path was set, or else where the nearest section around it was.
func (l *loader) origin(path string) origin {
	for {
		if o, ok := l.set[path]; ok || path == "" {
			return o
		}
		path = parent(path)
	}
}

// where says in words where the key at path was set.
func (l *loader) where(path string) string {
	o, ok := l.set[path]
	switch {
	case !ok:
		return "default"
	case o.variable != "":
		return o.variable
	default:
		return fmt.Sprintf("line %d", o.line)
	}
}

// fail reports that the value of a key could not be decoded.
func (l *loader) fail(o origin, path, format string, args ...any) {
	l.failed[path] = true
	l.add(o, path, fmt.Sprintf(format, args...))
}

// report reports that the value of a key will not do, unless that only follows from a value that could not be decoded.
func (l *loader) report(path, format string, args ...any) {
	for p := path; p != ""; p = parent(p) {
		if l.failed[p] {
			return
		}
	}
	message := fmt.Sprintf(format, args...)
	if _, set := l.set[path]; !set && hasDefault(path) {
		message += "; it is not set, and this is its default"
	}
	l.add(l.origin(path), path, message)
}

func (l *loader) add(o origin, path, message string) {
	for p := path; p != ""; p = parent(p) {
		l.broken[p] = true
	}
	e := Error{File: l.file, Line: o.line, Column: o.column, Path: path, Message: message}
	if o.line == 0 {
		e.File, e.Path = "environment", variable(path)
		if rest, ok := strings.CutPrefix(path, o.path); ok && o.variable != "" {
			e.Path = o.variable + rest
		}
	}
	l.errs = append(l.errs, e)
}

// join returns the path of a key in the section at path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// parent returns the path of the section that the key at path is in.
func parent(path string) string {
	return path[:max(strings.LastIndexByte(path, '.'), 0)]
}
