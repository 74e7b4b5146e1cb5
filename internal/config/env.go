package config

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

const (
	prefix   = "GATEHOUSE_"
	fileName = prefix + "CONFIG" // which file to load: not a key, but for whoever calls Load
)

// serviceLink matches the variables by which Kubernetes tells every pod about every service of its namespace, here about one whose
// name is gatehouse or begins with gatehouse-: https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
const serviceLink = `^GATEHOUSE_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`

// variable returns the name of the variable that sets the key at path.
func variable(path string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// variableFor returns the name of the variable that sets the key at path, or else what it is in.
func variableFor(path string) string {
	all := keys()
	for path != "" && !slices.Contains(all, path) {
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return variable(path)
}

// isEmpty is what is wrong with a variable that is there and empty: more likely, what it should have been made of was not set.
const isEmpty = "is empty: give it a value, or remove the variable"

// environment applies the variables in environ that begin with GATEHOUSE_. When one is there twice, the last counts.
func (l *loader) environment(environ []string, c *Config) {
	vars := map[string]string{}
	for _, e := range environ {
		if name, value, _ := strings.Cut(e, "="); strings.HasPrefix(name, prefix) && (name != fileName || isBlank(value)) {
			vars[name] = value
		}
	}
	defaults := Default()
	l.variables("", reflect.ValueOf(c).Elem(), reflect.ValueOf(&defaults).Elem(), vars)
	if len(vars) == 0 {
		return
	}
	var known []string // without the prefix, which would make everything look alike
	for _, path := range keys() {
		if !strings.Contains(path, "[") {
			known = append(known, strings.TrimPrefix(variable(path), prefix))
		}
	}
	link := regexp.MustCompile(serviceLink)
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		message := "sets no key of the configuration"
		if name == fileName {
			message = isEmpty
		} else if link.MatchString(name) {
			message += "; Kubernetes sets it for a service of this name: set enableServiceLinks: false in the pod's spec"
		} else if near := Nearest(strings.TrimPrefix(name, prefix), known); near != "" {
			message += fmt.Sprintf("; did you mean `%s`?", prefix+near)
		} else {
			message += ": remove it, or say it in the file"
		}
		if !printable(name) {
			name = quote(name)
		}
		l.errs = append(l.errs, Error{File: "environment", Path: name, Message: message})
	}
}

// variables applies vars to v, the value of the key at path, and to the keys below it, and removes what it has applied. It reports
// whether there was something to apply.
func (l *loader) variables(path string, v, defaults reflect.Value, vars map[string]string) bool {
	applied := false
	if text, ok := vars[variable(path)]; ok && path != "" {
		delete(vars, variable(path))
		if isBlank(text) {
			l.fail(origin{variable: variable(path), path: path}, path, isEmpty)
		} else {
			l.apply(path, text, v, defaults)
			applied = true
		}
	}
	switch {
	case isSingle(v.Type()):
	case v.Kind() == reflect.Pointer: // a service that was not chosen is chosen by any of its keys
		candidate := reflect.New(v.Type()).Elem()
		candidate.Set(v)
		fresh := reflect.New(v.Type()).Elem()
		if below := l.variables(path, l.allocated(candidate), l.allocated(fresh), vars); below {
			v.Set(candidate)
			applied = true
		}
	case v.Kind() == reflect.Struct:
		for i, name := range keyNames(v.Type()) {
			if l.variables(join(path, name), v.Field(i), defaults.Field(i), vars) {
				applied = true
			}
		}
	}
	return applied
}

// apply sets the key at path, and nothing of what it was set to before remains.
func (l *loader) apply(path, text string, v, defaults reflect.Value) {
	l.from = origin{variable: variable(path), path: path}
	within := func(p string) bool {
		return p == path || strings.HasPrefix(p, path+".") || strings.HasPrefix(p, path+"[")
	}
	maps.DeleteFunc(l.set, func(p string, _ origin) bool { return within(p) })
	maps.DeleteFunc(l.failed, func(p string, _ bool) bool { return within(p) })
	maps.DeleteFunc(l.broken, func(p string, _ bool) bool { return within(p) })
	l.set[path] = l.from
	for p := parent(path); p != ""; p = parent(p) {
		if _, ok := l.set[p]; !ok {
			l.set[p] = l.from
		}
	}
	v.Set(defaults)
	if n := l.textNode(text, v.Type()); n != nil {
		l.value(path, n, v)
	}
}

func isBlank(text string) bool { return strings.TrimSpace(text) == "" }

// textNode returns what the value of a variable says: a single value as it is, a list of single values by commas, else YAML. Two quotes
// are the empty value, as in YAML.
func (l *loader) textNode(text string, t reflect.Type) *yaml.Node {
	single := func(s string) *yaml.Node {
		if s == `""` || s == "''" {
			s = ""
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	}
	isFlow := strings.HasPrefix(strings.TrimSpace(text), "[") && strings.HasSuffix(strings.TrimSpace(text), "]") // and not [::1]:8080
	isListeners := t == reflect.TypeFor[Listeners]()
	isURL := t == reflect.TypeFor[App]() && !strings.HasPrefix(strings.TrimSpace(text), "{")
	if isSingle(t) || isURL || isListeners && !isFlow && !strings.Contains(text, ",") {
		return single(text)
	}
	if t.Kind() == reflect.Slice && (isSingle(t.Elem()) || isListeners) && !isFlow {
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for item := range strings.SplitSeq(text, ",") {
			list.Content = append(list.Content, single(strings.TrimSpace(item)))
		}
		return list
	}
	n := l.document([]byte(text))
	if n == nil && !l.failed[l.from.path] {
		l.fail(l.from, l.from.path, "has no value: give it one, or remove the variable")
	}
	return n
}
