package config

import (
	"reflect"
	"strings"
)

// keyNames returns the names of the keys of a section, one for every field of the struct.
func keyNames(section reflect.Type) []string {
	names := make([]string, section.NumField())
	for i := range names {
		names[i], _, _ = strings.Cut(section.Field(i).Tag.Get("yaml"), ",")
	}
	return names
}

// keys returns the path of every key, sections before what is in them. The keys of sections in a list, or
// under names that the operator chooses, have paths such as routes[].access.
func keys() []string { return keysBelow("", reflect.TypeFor[Config]()) }

func keysBelow(path string, t reflect.Type) []string {
	switch {
	case isSingle(t) || t == reflect.TypeFor[IdentityHeaders]() || t == reflect.TypeFor[map[string]*Upstream]():
		return nil // what is in upstreams is what is in upstream
	case t.Kind() == reflect.Pointer:
		return keysBelow(path, t.Elem())
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Map:
		return keysBelow(path+"[]", t.Elem())
	}
	var paths []string
	for i, name := range keyNames(t) {
		key := join(path, name)
		paths = append(append(paths, key), keysBelow(key, t.Field(i).Type)...)
	}
	return paths
}

// findKey returns the path of the one key of that name, or "" if there is none or more than one.
func findKey(name string) string {
	found := ""
	for _, path := range keys() {
		if path != name && !strings.HasSuffix(path, "."+name) {
			continue
		}
		if found != "" {
			return ""
		}
		found = path
	}
	return found
}
