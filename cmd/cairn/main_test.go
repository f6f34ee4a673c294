package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"cairn/internal/testutil"
)

// binary is the path of the real thing, built once for all tests.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "cairn-test-")
	if err == nil {
		defer os.RemoveAll(dir)
		binary, err = testutil.Build(dir, "-ldflags", "-X main.stamped=v0.0.0-test")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// TestScripts types what users type. Besides the usual commands the scripts have
//
//	port NAME...  gives each variable a free port
//	ready PORT    waits until the node there answers
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"port":  setPorts,
			"ready": waitReady,
		},
		Setup: func(e *testscript.Env) error {
			for _, dir := range []string{"data", "config"} {
				if err := os.Mkdir(filepath.Join(e.WorkDir, dir), 0o777); err != nil {
					return err
				}
			}
			e.Vars = append(e.Vars,
				"HOME="+e.WorkDir,
				"XDG_DATA_HOME="+filepath.Join(e.WorkDir, "data"),
				"XDG_CONFIG_HOME="+filepath.Join(e.WorkDir, "config"),
				"LocalAppData="+filepath.Join(e.WorkDir, "data"),
				"AppData="+filepath.Join(e.WorkDir, "config"),
				"PATH="+filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
			return nil
		},
	})
}

func setPorts(ts *testscript.TestScript, _ bool, names []string) {
	for _, name := range names {
		port, err := testutil.FreePort()
		ts.Check(err)
		ts.Setenv(name, fmt.Sprint(port))
	}
}

func waitReady(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: ready PORT")
	}
	ts.Check(testutil.WaitReady("http://127.0.0.1:"+args[0], nil, time.Minute))
}
