package io.ksm4j.it;

import io.ksm4j.tck.Mapping;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;

/** One reading of all mappings, for many questions. */
final class Smaps {

    private final NavigableMap<Long, Mapping> mappings = new TreeMap<>();

    static Smaps read() {
        Smaps smaps = new Smaps();
        Mapping.between(0, Long.MAX_VALUE).forEach(mapping -> smaps.mappings.put(mapping.start(), mapping));
        return smaps;
    }

    boolean isMergeable(long address) {
        Map.Entry<Long, Mapping> at = mappings.floorEntry(address);
        return at != null && address < at.getValue().end() && at.getValue().isMergeable();
    }
}
