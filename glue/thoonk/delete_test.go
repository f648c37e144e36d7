package thoonk_test

import (
	"testing"

	"pushglue/glue/gluetest/service"
	"pushglue/glue/thoonk"
)

func TestDelete(t *testing.T) {
	rdb := service.StartRedis(t).Client(t)
	for _, dialect := range []thoonk.Dialect{thoonk.ThoonkPy, thoonk.ThoonkJS} {
		feed, err := thoonk.NewFeed(rdb, "f", dialect)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // it can be put on again
			if _, err := feed.Put(t.Context(), [][]byte{[]byte("1"), []byte("2")}, thoonk.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			if jobs, err := feed.Claim(t.Context(), 1); err != nil || len(jobs) != 1 {
				t.Fatal(jobs, err)
			}
			if err := feed.Delete(t.Context()); err != nil {
				t.Fatal(err)
			}
			if keys, err := rdb.Keys(t.Context(), "*").Result(); err != nil || len(keys) > 0 {
				t.Errorf("%s: left are %q, %v", dialect, keys, err)
			}
		}
	}
}
