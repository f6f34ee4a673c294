package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// bound is what a command line, an environment and a file make of the settings.
func bound(t *testing.T, file string, env map[string]string, args ...string) (*settings, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "cairn.toml")
	if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &app{env: func(key string) (string, bool) { v, ok := env[key]; return v, ok }}
	s, flags := newSettings()
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return s, a.bind(flags, flags.Changed, name)
}

func TestFlagOverVariableOverFile(t *testing.T) {
	file := "port = 1\nhost = \"file\"\nmine = true\nlog-level = \"debug\"\nallow-host = [\"a\", \"b\"]\npool-size = 3\n"
	env := map[string]string{"CAIRN_PORT": "2", "CAIRN_HOST": "variable", "CAIRN_LOG_LEVEL": "warn"}
	s, err := bound(t, file, env, "--port", "3")
	if err != nil {
		t.Fatal(err)
	}
	if s.Port != 3 || s.Host != "variable" || s.logLevel != "warn" || !s.Mine {
		t.Errorf("port %d, host %s, log level %s, mine %v", s.Port, s.Host, s.logLevel, s.Mine)
	}
	if want := []string{"a", "b"}; !cmp.Equal(s.AllowHosts, want) {
		t.Errorf("allowed hosts %q, want %q", s.AllowHosts, want)
	}
	if s.Pool.Bytes != 3<<20 || s.Pool.Transfers != 500_000 {
		t.Errorf("pool limits %+v", s.Pool)
	}
}

// A flag without a value switches peers on; the environment and the file say which.
func TestPeersFlag(t *testing.T) {
	for _, c := range []struct {
		file, variable string
		args           []string
		want           string
	}{
		{"", "", nil, "auto"},
		{"", "", []string{"--p2p"}, "on"},
		{"", "off", []string{"--p2p", "--p2p-host", "127.0.0.1"}, "on"},
		{"", "on", []string{"--p2p=off"}, "off"},
		{"p2p = \"on\"", "", nil, "on"},
		{"p2p = \"on\"", "off", nil, "off"},
	} {
		env := map[string]string{}
		if c.variable != "" {
			env["CAIRN_P2P"] = c.variable
		}
		if s, err := bound(t, c.file, env, c.args...); err != nil || s.P2P != c.want {
			t.Errorf("%q, %q, %v: %q, %v", c.file, c.variable, c.args, s.P2P, err)
		}
	}
}

func TestSettingsErrors(t *testing.T) {
	for _, c := range []struct {
		name, file string
		env        map[string]string
		want       []string
	}{
		{"unknown key", "prot = 1", nil, []string{"cairn.toml", `"prot"`, "did you mean port"}},
		{"unknown key in a table", "[log]\ncolour = true", nil, []string{`"log.colour"`}},
		{"not TOML", "port: 1", nil, []string{"cairn.toml", "line 1"}},
		{"wrong type in the file", `port = "many"`, nil, []string{"cairn.toml: port", `"many"`}},
		{"wrong type in a variable", "", map[string]string{"CAIRN_PORT": "many"}, []string{"CAIRN_PORT", `"many"`}},
		{"no size", "pool-size = 0", nil, []string{"pool-size", "MiB"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := bound(t, c.file, c.env)
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
		})
	}
}

func TestConfigurationFile(t *testing.T) {
	a := &app{env: func(string) (string, bool) { return "", false }}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("AppData", t.TempDir())
	_, flags := newSettings()
	if err := a.bind(flags, flags.Changed, ""); err != nil {
		t.Errorf("the default file is missing: %v", err)
	}
	if err := a.bind(flags, flags.Changed, filepath.Join(t.TempDir(), "none.toml")); err == nil {
		t.Error("a file that was named is missing, and nobody says so")
	}
}

func TestDidYouMean(t *testing.T) {
	names := []string{"port", "host", "network", "log-level", "reward-to"}
	for word, want := range map[string]string{
		"prot": "port", "netwrok": "network", "loglevel": "log-level", "rewardto": "reward-to", "zzz": "", "x": "",
	} {
		got := didYouMean(word, names, "--")
		if want != "" {
			want = "; did you mean --" + want + "?"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}
