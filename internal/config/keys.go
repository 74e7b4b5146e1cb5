package config

import (
	"reflect"
	"slices"
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

// sectionsWith returns the sections right below a section that have a key of that name.
func sectionsWith(section reflect.Type, name string) (below []string) {
	for i, key := range keyNames(section) {
		t := section.Field(i).Type
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() == reflect.Struct && !isSingle(t) && slices.Contains(keyNames(t), name) {
			below = append(below, key)
		}
	}
	return below
}

// hasDefault reports whether the key at path has a value that is not empty if it is not set.
func hasDefault(path string) bool {
	v := reflect.ValueOf(Default())
	for name := range strings.SplitSeq(path, ".") {
		if v.Kind() != reflect.Struct || isSingle(v.Type()) {
			return false
		}
		i := slices.Index(keyNames(v.Type()), name)
		if i < 0 {
			return false
		}
		v = v.Field(i)
	}
	return isSingle(v.Type()) && !v.IsZero()
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
