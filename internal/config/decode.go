package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"reflect"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// document returns the one YAML document in data, or nil if there is none or a mistake was reported.
func (l *loader) document(data []byte) *yaml.Node {
	yl, err := yaml.NewLoader(bytes.NewReader(data))
	var first, second yaml.Node
	if err == nil {
		err = yl.Load(&first)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		if err = yl.Load(&second); err == nil {
			l.fail(l.at(&second), l.from.path, "a second document begins here, and only one is read: remove it, and the --- before it")
			return nil
		}
	}
	if !errors.Is(err, io.EOF) {
		o, message := explain(data, err)
		if l.from.variable != "" {
			o = l.from
		}
		l.fail(o, l.from.path, "%s", message)
		return nil
	}
	return first.Content[0]
}

// explain says where and what a YAML syntax error is. Where YAML's own words do not lead to the cause, it says the cause.
func explain(data []byte, err error) (origin, string) {
	syntax, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		return origin{line: 1, column: 1}, err.Error()
	}
	o := origin{line: syntax.Mark.Line, column: syntax.Mark.Column}
	if o.line == 0 { // bytes that are not text have an offset only
		before := data[:min(max(syntax.Mark.Index, 0), len(data))]
		o.line = bytes.Count(before, []byte("\n")) + 1
		o.column = utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	}
	var line []byte
	if lines := bytes.Split(data, []byte("\n")); o.line <= len(lines) {
		line = lines[o.line-1]
	}
	here := utf8.RuneError
	if runes := []rune(string(line)); o.column <= len(runes) {
		here = runes[o.column-1]
	}
	indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
	message := syntax.Message
	switch {
	case bytes.ContainsRune(indent, '\t'):
		message = "indented with a tab: YAML wants spaces"
	case strings.HasPrefix(message, "unknown anchor"), strings.Contains(syntax.ContextMsg, "alias"):
		message = `a value that begins with * must be quoted, such as "*.example.com"`
	case strings.Contains(message, "cannot start any token"):
		message = fmt.Sprintf("a value that begins with %q must be quoted", here)
	case strings.Contains(message, "mapping values are not allowed"):
		message = "a key is not expected here: check the indentation, and quote values that contain a colon and a space"
	case strings.Contains(message, "expected key"):
		message = "a key is expected here: check the indentation"
	case strings.Contains(message, "expected <document start>"):
		message = "nothing can follow what ended before this: check the indentation and the brackets"
	case syntax.ContextMsg != "":
		message = fmt.Sprintf("%s, %s that begins at line %d", message, syntax.ContextMsg, syntax.ContextMark.Line)
	}
	return o, message
}

// at returns where a node stands.
func (l *loader) at(n *yaml.Node) origin {
	if l.from.variable != "" {
		return l.from
	}
	return origin{line: n.Line, column: n.Column}
}

// value decodes a node into v, which holds the default.
func (l *loader) value(path string, n *yaml.Node, v reflect.Value) {
	if l.unusual(path, n) {
		return
	}
	if n.Tag == "!!null" {
		switch {
		case path == "": // an empty file is a file without keys
		case v.Kind() == reflect.Pointer:
			l.fail(l.at(n), path, "has no value: write {} to have it with its defaults, or remove the key")
		default:
			l.fail(l.at(n), path, "has no value: give it one, or remove the key to get its default")
		}
		return
	}
	switch v := v.Addr().Interface().(type) {
	case *IdentityHeaders:
		*v = l.headers(path, n)
		return
	case *Listeners:
		*v = l.listeners(path, n)
		return
	case *CORS:
		if n.Kind == yaml.ScalarNode {
			if v.Pass = n.Value == "pass"; !v.Pass {
				l.fail(l.at(n), path, "want pass, or keys such as { allowed_origins: [https://app.example.com] }, got %s", quote(n.Value))
			}
			return
		}
	case *App:
		switch n.Kind {
		case yaml.MappingNode: // as any section
		case yaml.ScalarNode:
			l.single(path, n, reflect.ValueOf(&v.URL).Elem())
			return
		default:
			l.fail(l.at(n), path, "want a URL such as http://127.0.0.1:3000, or a section, got %s", kindOf(n))
			return
		}
	}
	switch {
	case v.Kind() == reflect.Pointer:
		l.value(path, n, l.allocated(v))
	case isSingle(v.Type()):
		l.single(path, n, v)
	case v.Kind() == reflect.Slice:
		l.list(path, n, v)
	case v.Kind() == reflect.Map:
		l.table(path, n, v)
	default:
		l.section(path, n, v)
	}
}

// allocated returns what the pointer v points to, and gives it its defaults if there is nothing yet.
func (l *loader) allocated(v reflect.Value) reflect.Value {
	if v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
		v.Interface().(interface{ setDefaults() }).setDefaults()
	}
	return v.Elem()
}

// isSingle reports whether values of the type are written as one word and not as a list or section.
func isSingle(t reflect.Type) bool {
	if _, ok := reflect.New(t).Interface().(interface{ UnmarshalText([]byte) error }); ok {
		return true
	}
	return t.Kind() != reflect.Struct && t.Kind() != reflect.Slice && t.Kind() != reflect.Pointer && t.Kind() != reflect.Map
}

// substitution matches what other tools put a variable in place of: ${NAME}, ${NAME:-default}, $(NAME), and $NAME by itself.
const substitution = `\$\{[A-Za-z_]\w*(:?[-+?=][^}]*)?\}|\$\([A-Za-z_]\w*\)|^\$[A-Z_][A-Z0-9_]*$`

// unusual reports what YAML has and a configuration has no use for: anchors and aliases, which hide what a value is, and tags. It also
// reports what YAML does not have: variables.
func (l *loader) unusual(path string, n *yaml.Node) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		l.fail(l.at(n), path, "anchors (&) and aliases (*) are not supported: write the value out, and quote one that begins with * or &")
	case n.Style&yaml.TaggedStyle != 0:
		l.fail(l.at(n), path, "tags are not supported: quote a value that begins with an exclamation mark")
	case path != "" && l.from.variable == "" && strings.Contains(n.Value, "$") && regexp.MustCompile(substitution).MatchString(n.Value):
		l.fail(l.at(n), path, "variables are not put into files: write the value out, or remove the key and set the variable %s", variableFor(path))
	default:
		return false
	}
	return true
}

func (l *loader) single(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		l.fail(l.at(n), path, "want a single value, got %s", kindOf(n))
		return
	}
	if !printable(n.Value) {
		l.fail(l.at(n), path, "want one line of printable text")
		return
	}
	if err := setText(v.Addr().Interface(), n.Value); err != nil {
		l.fail(l.at(n), path, "%v", err)
	}
}

func (l *loader) list(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		l.fail(l.at(n), path, "want a list, such as [a, b], got %s", kindOf(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		child := fmt.Sprintf("%s[%d]", path, i)
		l.set[child] = l.at(item)
		l.value(child, item, v.Index(i))
	}
}

// table decodes a mapping whose keys the operator chooses.
func (l *loader) table(path string, n *yaml.Node, v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	l.mapping(path, n, func(key, n *yaml.Node) {
		if key.Value == "" || len(key.Value) > 64 || strings.Trim(key.Value, tableBytes) != "" {
			l.add(l.at(key), path, quote(key.Value)+" is no name here: want at most 64 letters, digits, '_' and '-'")
			return
		}
		child := join(path, key.Value)
		if l.set[child] = l.at(key); n.Kind == yaml.ScalarNode {
			l.set[child] = l.at(n)
		}
		item := reflect.New(v.Type().Elem()).Elem()
		l.value(child, n, item)
		v.SetMapIndex(reflect.ValueOf(key.Value), item)
	})
}

// tableBytes are the characters of names that the operator chooses. A dot would look like a key below.
var tableBytes = strings.Replace(nameBytes, ".", "", 1)

func (l *loader) section(path string, n *yaml.Node, v reflect.Value) {
	names := keyNames(v.Type())
	l.mapping(path, n, func(key, n *yaml.Node) {
		for i, name := range names {
			if name == key.Value {
				child := join(path, name)
				if l.set[child] = l.at(key); n.Kind == yaml.ScalarNode {
					l.set[child] = l.at(n)
				}
				l.value(child, n, v.Field(i))
				return
			}
		}
		message := "unknown key " + quote(key.Value)
		if below := sectionsWith(v.Type(), key.Value); path != "" && len(below) > 0 {
			for _, section := range below {
				l.failed[join(join(path, section), key.Value)] = true // it is not missing, only misplaced
			}
			message += "; it belongs below " + alternatives(below)
		} else if near := Nearest(key.Value, names); near != "" {
			l.failed[join(path, near)] = true // it is not missing, only misspelt
			message += fmt.Sprintf("; did you mean `%s`?", near)
		} else if elsewhere := findKey(key.Value); elsewhere != "" {
			message += fmt.Sprintf("; did you mean `%s`? check the indentation", elsewhere)
		} else if part := partner(key.Value, names); part != "" {
			l.failed[join(path, part)] = true
			message += fmt.Sprintf("; did you mean `%s`?", part)
		} else {
			message += "; want " + alternatives(names)
		}
		l.add(l.at(key), path, message)
	})
}

// mapping calls item for every key of a mapping, with the nodes of the key and its value.
func (l *loader) mapping(path string, n *yaml.Node, item func(key, n *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		l.fail(l.at(n), path, "want keys and values, such as { key: value }, got %s", kindOf(n))
		return
	}
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode && key.Kind != yaml.AliasNode:
			l.add(l.at(key), path, "want a key, got "+kindOf(key))
		case key.Tag == "!!merge":
			l.add(l.at(key), path, "merge keys (<<) are not supported: write the keys out")
		case l.unusual(path, key):
		case first[key.Value] != nil:
			message := "duplicate key " + quote(key.Value)
			if l.from.variable == "" {
				message += fmt.Sprintf(", which line %d has already", first[key.Value].Line)
			}
			l.add(l.at(key), path, message+": remove one")
		default:
			first[key.Value] = key
			item(key, n.Content[i+1])
		}
	}
}

// headers decodes the identity headers, in the order of the file and under their canonical names.
func (l *loader) headers(path string, n *yaml.Node) IdentityHeaders {
	headers := IdentityHeaders{}
	l.mapping(path, n, func(key, n *yaml.Node) {
		if !isHeaderName(key.Value) {
			l.add(l.at(key), path, quote(key.Value)+
				" is no name for an identity header: want at most 64 letters, digits and '-', the first a letter")
			return
		}
		h := IdentityHeader{Name: textproto.CanonicalMIMEHeaderKey(key.Value)}
		child := join(path, h.Name)
		l.set[child] = l.at(key)
		l.value(child, n, reflect.ValueOf(&h.Path).Elem())
		headers = append(headers, h)
	})
	return headers
}

// kindOf says what a node is, for messages about what was expected instead.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "keys and values"
	default:
		return "a single value"
	}
}
