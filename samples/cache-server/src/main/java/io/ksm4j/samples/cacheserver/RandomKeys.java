// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import java.util.Collections;
import java.util.Iterator;
import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;

/** Finds some key of a tenant: walks through all keys, a random number of steps for each call. */
final class RandomKeys {

    private static final int MAX_STEPS = 16;

    private final Store store;
    private Iterator<Key> keys = Collections.emptyIterator();

    RandomKeys(Store store) {
        this.store = store;
    }

    /** Forgets where it was. */
    synchronized void forget() {
        keys = Collections.emptyIterator();
    }

    /** Returns a key, or null if the tenant has none. */
    synchronized @Nullable Key next(int tenant) {
        int steps = ThreadLocalRandom.current().nextInt(MAX_STEPS);
        Key found = null;
        // A tenant may have fewer keys than steps, or no key between here and the end.
        for (int round = 0; round < 2; round++) {
            while (keys.hasNext()) {
                Key key = keys.next();
                if (key.tenant() == tenant) {
                    found = key;
                    steps--;
                    if (steps <= 0) {
                        return found;
                    }
                }
            }
            keys = store.keys();
        }
        return found;
    }
}
