package docs

import (
	"flag"
	"fmt"
	"go/ast"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
)

var update = flag.Bool("update", false, "write the keys of the configuration into reference/configuration.md, and what was measured wherever it is quoted")

const (
	configurationFile = "reference/configuration.md"
	generated         = "<!-- What follows is generated from internal/config: go test ./docs -update -->\n"
)

// TestConfigurationReference compares the reference with the comments of the code that it is generated from.
func TestConfigurationReference(t *testing.T) {
	text := read(t, configurationFile)
	hand, _, found := strings.Cut(text, generated)
	if !found {
		t.Fatalf("%s has lost the line %q", configurationFile, generated)
	}
	var want strings.Builder
	want.WriteString(hand + generated)
	writeKeys(&want, comments(t), "", reflect.TypeFor[config.Config]())
	switch {
	case want.String() == text:
	case *update:
		if err := os.WriteFile(configurationFile, []byte(want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not what the comments in internal/config say: run go test ./docs -update", configurationFile)
	}
}

// writeKeys writes a heading for every key of the file and a point for every key below it.
func writeKeys(w *strings.Builder, comments map[string]string, path string, section reflect.Type) {
	for i := range section.NumField() {
		field := section.Field(i)
		key, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		text := comments[section.Name()+"."+field.Name]
		if path == "" {
			fmt.Fprintf(w, "\n### %s\n\n`%s`%s\n", key, key, text)
		} else {
			key = path + "." + key
			fmt.Fprintf(w, "- `%s`%s\n", key, text)
		}
		below := field.Type
		if below.Kind() == reflect.Pointer {
			below = below.Elem()
		}
		if below.Kind() == reflect.Slice {
			key, below = key+"[]", below.Elem()
		}
		if below.Kind() == reflect.Map {
			key, below = key+".NAME", below.Elem()
		}
		if below.Kind() == reflect.Struct && below.Field(0).Tag.Get("yaml") != "" {
			if path == "" {
				w.WriteString("\n")
			}
			writeKeys(w, comments, key, below)
		}
	}
}

var firstWord = regexp.MustCompile(`^\w+`)

// comments returns what the comment of every field of every struct in internal/config says after the name of the field, as
// "Struct.Field", on one line.
func comments(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	inspect := func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		section, ok := spec.Type.(*ast.StructType)
		if !ok || !isSection(section) {
			return true
		}
		keys := map[string]string{}
		for _, f := range section.Fields.List {
			tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("yaml")
			keys[f.Names[0].Name], _, _ = strings.Cut(tag, ",")
		}
		for _, f := range section.Fields.List {
			name := f.Names[0].Name
			text := strings.Join(strings.Fields(f.Doc.Text()), " ")
			if first := firstWord.FindString(text); first != name {
				t.Errorf("internal/config: the comment of %s.%s begins with %q", spec.Name.Name, name, first)
			}
			all[spec.Name.Name+"."+name] = withKeys(strings.TrimSuffix(strings.TrimPrefix(text, name), " Default: its keys' defaults."), keys)
		}
		return true
	}
	for _, file := range sources(t, "../internal/config") {
		ast.Inspect(file, inspect)
	}
	return all
}

// isSection reports whether the fields of a struct are keys.
func isSection(s *ast.StructType) bool { return len(s.Fields.List) > 0 && s.Fields.List[0].Tag != nil }

// withKeys puts keys in place of the names of other fields, apart from those that may be plain words.
func withKeys(text string, keys map[string]string) string {
	for name, key := range keys {
		if strings.ToLower(name[1:]) != name[1:] {
			text = regexp.MustCompile(`\b`+name+`\b`).ReplaceAllString(text, "`"+key+"`")
		}
	}
	return strings.ReplaceAll(text, "*", `\*`)
}
