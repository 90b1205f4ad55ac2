// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;

/**
 * The scans that clients have begun. A cursor names a scan and a page of it.
 *
 * <p>Keys that are there during a whole scan are returned at least once, as Redis guarantees: the cache's iterator
 * returns them, a page can be asked for again, and a cursor of a scan that is no longer known begins another scan.
 */
final class Scans {

    private static final int MAX_SCANS = 1000;
    private static final int MAX_KEPT = 200_000;
    private static final int PAGE_BITS = 32;

    /** The keys of a page, and the cursor of the next one; 0 if there is none. */
    record Page(long next, List<Key> keys) {}

    private static final class Scan {

        private final Iterator<Key> keys;
        private final long name;
        private long number;
        private Page page;

        Scan(Iterator<Key> keys, long name) {
            this.keys = keys;
            this.name = name;
            this.page = new Page(0, List.of());
        }

        void advance(int count) {
            List<Key> found = new ArrayList<>();
            while (found.size() < count && keys.hasNext()) {
                found.add(keys.next());
            }
            number++;
            page = new Page(keys.hasNext() ? name << PAGE_BITS | number : 0, found);
        }
    }

    private final Store store;

    /** By name; the one that was used least recently first. */
    private final Map<Long, Scan> scans = new LinkedHashMap<>(16, 0.75f, true);

    /** The number of keys in all pages. */
    private long kept;

    Scans(Store store) {
        this.store = store;
    }

    /**
     * Returns the page of a cursor.
     *
     * @param cursor 0 for a new scan
     * @param count the number of keys of all tenants in the page, unless the page was returned before
     */
    synchronized Page page(long cursor, int count) {
        long name = cursor >>> PAGE_BITS;
        long number = cursor & ((1L << PAGE_BITS) - 1);
        Scan scan = cursor == 0 ? null : scans.get(name);
        if (scan == null || (number != scan.number && number != scan.number - 1)) {
            // Names are random, so that the cursors of another run of the server are not taken for those of this one.
            name = ThreadLocalRandom.current().nextLong(1, 1L << (Long.SIZE - 1 - PAGE_BITS));
            scan = new Scan(store.keys(), name);
            scans.put(name, scan);
            scan.advance(count);
        } else if (number == scan.number) {
            kept -= scan.page.keys().size();
            scan.advance(count);
        } else {
            return scan.page;
        }
        Page page = scan.page;
        if (page.next() == 0) {
            scans.remove(name);
        } else {
            kept += page.keys().size();
            forgetTooMany();
        }
        return page;
    }

    /** Forgets the scans that were used least recently. */
    private void forgetTooMany() {
        Iterator<Scan> eldest = scans.values().iterator();
        while (scans.size() > MAX_SCANS || (kept > MAX_KEPT && scans.size() > 1)) {
            kept -= eldest.next().page.keys().size();
            eldest.remove();
        }
    }

    /** Forgets all scans, which would otherwise keep what was flushed. */
    synchronized void forget() {
        scans.clear();
        kept = 0;
    }
}
