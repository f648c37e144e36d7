package pipelines_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pushglue/glue"
	"pushglue/glue/file"
	"pushglue/glue/gluetest"
	"pushglue/stages"
	"pushglue/stages/pipelines"
)

var update = flag.Bool("update", false, "write the golden files anew")

// channelPublisher is a publisher in memory that needs channels, as push does.
type channelPublisher struct{ gluetest.Publisher }

func (*channelPublisher) NeedsChannels() {}

// publishers are the real ones, but for a push that is in memory.
func publishers(push glue.Publisher) pipelines.Publishers {
	return pipelines.Publishers{
		"push": func(o stages.Options) (glue.Publisher, error) { return push, o(&struct{}{}) },
		"file": func(options stages.Options) (glue.Publisher, error) {
			var c file.Config
			if err := options(&c); err != nil {
				return nil, err
			}
			return file.New(c)
		},
	}
}

// golden holds got against the content of a file, or writes it with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n got %.2000s\nwant %.2000s", path, got, want)
	}
}

const testdata = "../../testdata/pipelines/"

func TestBadFiles(t *testing.T) {
	t.Setenv("PUSHGLUE_ENCRYPT_KEY", goldenEncryptKey)
	files, err := filepath.Glob(testdata + "bad/*.yml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d bad files, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = pipelines.Parse(filepath.Base(path), text, publishers(new(channelPublisher)))
			if err == nil {
				t.Fatal("it was accepted")
			}
			golden(t, strings.TrimSuffix(path, ".yml")+".err", err.Error()+"\n")
		})
	}
}

func TestGoodFiles(t *testing.T) {
	goldenKeys(t)
	files, err := filepath.Glob(testdata + "good/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d good files, %v", len(files), err)
	}
	for _, path := range files {
		list, err := pipelines.Load(path, publishers(new(channelPublisher)))
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		for _, p := range list {
			if p.Publisher == nil || p.Feed == "" || len(p.Stages) == 0 {
				t.Errorf("%s: %+v lacks something", path, p)
			}
		}
	}
}

func TestAFileThatIsNotThere(t *testing.T) {
	_, err := pipelines.Load("no/such.yml", nil)
	if err == nil || err.Error() != "read pipelines file: stat no/such.yml: no such file or directory" {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob(testdata + "*/*.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := pipelines.Parse("fuzz.yml", text, publishers(new(channelPublisher)))
		if err == nil && len(list) == 0 {
			t.Errorf("%q gives neither pipelines nor an error", text)
		}
	})
}
