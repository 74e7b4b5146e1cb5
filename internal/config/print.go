package config

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Print writes the configuration as YAML, with every key, so that it shows what is in force wherever it was set. Secrets are hidden.
// What it writes loads again as the same configuration, unless there are secrets.
func (c *Config) Print(w io.Writer) error {
	d, err := yaml.NewDumper(w, yaml.WithLineWidth(-1))
	if err == nil {
		err = d.Dump(node(reflect.ValueOf(*c)))
	}
	if err == nil {
		err = d.Close()
	}
	if err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	return nil
}

// node returns what decodes to v.
func node(v reflect.Value) *yaml.Node {
	if headers, ok := v.Interface().(IdentityHeaders); ok {
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, h := range headers {
			n.Content = append(n.Content, word(h.Name), word(h.Path))
		}
		return n
	}
	if listeners, ok := v.Interface().(Listeners); ok {
		return listeners.node()
	}
	if app, ok := v.Interface().(App); ok && app.isPlain() {
		return word(app.URL)
	}
	switch kind := v.Kind(); {
	case kind == reflect.Bool || v.Type() == reflect.TypeFor[int]():
		return &yaml.Node{Kind: yaml.ScalarNode, Value: text(v.Interface())}
	case isSingle(v.Type()):
		return word(text(v.Interface()))
	case kind == reflect.Pointer:
		return node(v.Elem())
	case kind == reflect.Slice:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		if isSingle(v.Type().Elem()) {
			n.Style = yaml.FlowStyle
		}
		for i := range v.Len() {
			n.Content = append(n.Content, node(v.Index(i)))
		}
		return n
	case kind == reflect.Map:
		n := &yaml.Node{Kind: yaml.MappingNode}
		names := v.MapKeys()
		slices.SortFunc(names, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, name := range names {
			n.Content = append(n.Content, word(name.String()), node(v.MapIndex(name)))
		}
		return n
	default:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for i, name := range keyNames(v.Type()) {
			optional := strings.HasSuffix(v.Type().Field(i).Tag.Get("yaml"), ",omitempty")
			if !optional || !v.Field(i).IsZero() {
				n.Content = append(n.Content, word(name), node(v.Field(i)))
			}
		}
		return n
	}
}

// word returns a node that is text, whatever it looks like.
func word(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

// text returns a single value as a configuration spells it.
func text(v any) string {
	d, ok := v.(time.Duration)
	if !ok {
		return fmt.Sprint(v)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
