package jsonobject

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	o, err := Parse([]byte(" {\"b\" : 1.50e+3 ,\n\"a\\u00e9\":\"x\\\"\", \"\": [ 1, {} ] ,\"n\":{\"k\":null}}\r\n\t"))
	if err != nil {
		t.Fatal(err)
	}
	want := &Object{
		Keys: []string{"b", "aé", "", "n"},
		Values: map[string]json.RawMessage{
			"b":  json.RawMessage(`1.50e+3`),
			"aé": json.RawMessage(`"x\""`),
			"":   json.RawMessage(`[ 1, {} ]`),
			"n":  json.RawMessage(`{"k":null}`),
		},
	}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Error(diff)
	}
	if o, err := Parse([]byte("{}")); err != nil || len(o.Keys) != 0 || len(o.Values) != 0 {
		t.Errorf("Parse({}) = %v, %v", o, err)
	}
}

// A value that is appended to must not run over the input behind it.
func TestValuesHaveNoSpareCapacity(t *testing.T) {
	data := []byte(`{"a":1,"b":2}`)
	o, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(o.Values["a"], "999"...)
	if string(data) != `{"a":1,"b":2}` {
		t.Errorf("appending to a value changed the input to %s", data)
	}
}

func TestParseRefuses(t *testing.T) {
	nested := func(n int) string {
		return `{"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}`
	}
	if _, err := Parse([]byte(nested(MaxDepth))); err != nil {
		t.Errorf("%d levels: %v", MaxDepth, err)
	}
	for _, c := range []struct {
		input string
		want  error
		text  string // in the error
	}{
		{``, ErrSyntax, "ends where there should be an object"},
		{` `, ErrSyntax, "ends where there should be an object"},
		{`null`, ErrSyntax, `'n' where there should be an object`},
		{`[]`, ErrSyntax, "object"},
		{`"a"`, ErrSyntax, "object"},
		{"\ufeff{}", ErrSyntax, "object"},
		{"\x00", ErrSyntax, "object"},
		{`{`, ErrSyntax, "a key in quotation marks"},
		{`{}{}`, ErrSyntax, "at byte 2: '{' where there should be the end"},
		{`{} null`, ErrSyntax, "the end"},
		{"{}\x00", ErrSyntax, "the end"},
		{`{a:1}`, ErrSyntax, "a key in quotation marks"},
		{`{'a':1}`, ErrSyntax, "a key in quotation marks"},
		{`{"a":1,}`, ErrSyntax, "a key in quotation marks"},
		{`{,}`, ErrSyntax, "a key in quotation marks"},
		{`{"a"}`, ErrSyntax, "a colon"},
		{`{"a" 1}`, ErrSyntax, "a colon"},
		{`{"a":}`, ErrSyntax, "a value"},
		{"{\"a\"\x00:1}", ErrSyntax, "a colon"},
		{`{"a":1 "b":2}`, ErrSyntax, "a comma or }"},
		{`{"a":[1 2]}`, ErrSyntax, "a comma or ]"},
		{`{"a":[1,]}`, ErrSyntax, "a value"},
		{`{"a":tru}`, ErrSyntax, "a value"},
		{`{"a":True}`, ErrSyntax, "a value"},
		{`{"a":truey}`, ErrSyntax, "a comma or }"},
		{`{"a":NaN}`, ErrSyntax, "a value"},
		{`{"a":Infinity}`, ErrSyntax, "a value"},
		{`{"a":+1}`, ErrSyntax, "a value"},
		{`{"a":.5}`, ErrSyntax, "a value"},
		{`{"a":01}`, ErrSyntax, "a comma or }"},
		{`{"a":-}`, ErrSyntax, "a digit"},
		{`{"a":1.}`, ErrSyntax, "a digit"},
		{`{"a":1e}`, ErrSyntax, "a digit"},
		{`{"a":1e+-1}`, ErrSyntax, "a digit"},
		{`{"a":0x1}`, ErrSyntax, "a comma or }"},
		{`{"a":1} // x`, ErrSyntax, "the end"},
		{`{"a":"x}`, ErrSyntax, "the end of a string"},
		{`{"a":"\`, ErrSyntax, "an escape"},
		{`{"a":"\x41"}`, ErrSyntax, "an escape"},
		{`{"a":"\u12g4"}`, ErrSyntax, "a hex digit"},
		{`{"a":"\u12`, ErrSyntax, "a hex digit"},
		{"{\"a\":\"\n\"}", ErrSyntax, "control character"},
		{"{\"a\":\"\xff\"}", ErrSyntax, "invalid UTF-8"},
		{"{\"\xff\":1}", ErrSyntax, "invalid UTF-8"},
		{"{\"a\":\"\xed\xa0\x80\"}", ErrSyntax, "invalid UTF-8"},
		{"{\"a\":\xff}", ErrSyntax, "invalid UTF-8"},
		{`{"a":"\ud800"}`, ErrSyntax, "surrogate"},
		{`{"a":"\ud800\n"}`, ErrSyntax, "surrogate"},
		{`{"a":"\ud800\u0041"}`, ErrSyntax, "surrogate"},
		{`{"a":"\udc00"}`, ErrSyntax, "surrogate"},
		{`{"a":"\udc00\ud800"}`, ErrSyntax, "surrogate"},
		{nested(MaxDepth + 1), ErrSyntax, "more than 32 objects"},
		{strings.Repeat(" ", MaxSize) + "{}", ErrSyntax, "more than 67108864"},
		{`{"a":1,"a":1}`, ErrDuplicate, `"a" at byte 7`},
		{`{"a":1,"\u0061":1}`, ErrDuplicate, `"a"`},
		{`{"é":1,"\u00e9":1}`, ErrDuplicate, `"é"`},
		{`{"":1,"":1}`, ErrDuplicate, `""`},
		{`{"x":{"a":1,"b":[{"c":1,"c":2}]}}`, ErrDuplicate, `"c"`},
	} {
		o, err := Parse([]byte(c.input))
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("Parse(%.60q) = %v, %v; want the error %q with %q", c.input, o, err, c.want, c.text)
		}
	}
	if _, err := Parse([]byte(`{"a":{"x":1},"b":{"x":1},"c":"\ud83d\ude00"}`)); err != nil {
		t.Errorf("the same key in two objects, a surrogate pair: %v", err)
	}
}

func TestKindOf(t *testing.T) {
	o, err := Parse([]byte(`{"object":{},"array":[],"string":"","number":-1,"boolean":false,"null":null}`))
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range o.Values {
		if got := KindOf(value); got != key {
			t.Errorf("KindOf(%s) = %q, want %q", value, got, key)
		}
	}
	for value, want := range map[string]string{"true": "boolean", "0": "number", "": ""} {
		if got := KindOf(json.RawMessage(value)); got != want {
			t.Errorf("KindOf(%q) = %q, want %q", value, got, want)
		}
	}
}

// twin says by means of encoding/json alone whether Parse should accept data.
func twin(data []byte) bool {
	if !json.Valid(data) || !utf8.Valid(data) || halfSurrogate(data) {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	type level struct {
		keys   map[string]bool // nil in an array
		atName bool
	}
	var stack []level
	for first := true; ; first = false {
		token, err := d.Token()
		if err == io.EOF {
			return true
		}
		if first && token != json.Delim('{') {
			return false
		}
		switch token {
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
			continue
		}
		if n := len(stack); n > 0 && stack[n-1].keys != nil {
			top := &stack[n-1]
			top.atName = !top.atName
			if top.atName {
				if key := token.(string); top.keys[key] {
					return false
				} else {
					top.keys[key] = true
				}
				continue
			}
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, level{keys: map[string]bool{}})
		case json.Delim('['):
			stack = append(stack, level{})
		}
		if len(stack) > MaxDepth {
			return false
		}
	}
}

// halfSurrogate looks for what encoding/json would silently replace: in valid
// JSON, a backslash is always an escape.
func halfSurrogate(data []byte) bool {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		i++
		if data[i] != 'u' {
			continue
		}
		var one string
		_ = json.Unmarshal([]byte(`"\`+string(data[i:i+5])+`"`), &one)
		if one == "\ufffd" && !strings.EqualFold(string(data[i+1:i+5]), "fffd") {
			if len(data) < i+11 {
				return true
			}
			var two string
			if json.Unmarshal([]byte(`"\`+string(data[i:i+11])+`"`), &two) != nil || utf8.RuneCountInString(two) != 1 {
				return true
			}
			i += 6
		}
		i += 4
	}
	return false
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1,"b":-0.5e-7,"c":"\u00e9\\\"","d":[true,false,null,{"a":{}}]}`,
		`{"a":1,"\u0061":2}`, `{"a":"\ud83d\ude00"}`, `{"a":"\ud800\ud800"}`, " {\"a\" :\t[ ] , \"b\":{ } }\n",
		`{"a":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}`, "{\"\xff\":1}", `{"a":01}`, `null`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := Parse(data)
		if (err == nil) != twin(data) {
			t.Fatalf("Parse(%q) = %v, but encoding/json says %v", data, err, twin(data))
		}
		if err != nil {
			if !errors.Is(err, ErrSyntax) && !errors.Is(err, ErrDuplicate) {
				t.Fatalf("Parse(%q): %v", data, err)
			}
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, o.Values); diff != "" || len(o.Keys) != len(want) {
			t.Fatalf("Parse(%q): keys %q, values %s", data, o.Keys, diff)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	data := []byte(`{"sender": "addr1", "recipient": "addr2", "amount": 3}`)
	for b.Loop() {
		if _, err := Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}
