// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.pool.PoolStats;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

class SnapshotJsonTest {

    private static final Snapshot SNAPSHOT = new Snapshot(
            75,
            12,
            List.of(new Snapshot.Tenant(0, 8, 30_000), new Snapshot.Tenant(3, 4, 20_000)),
            900,
            100,
            2_000,
            7,
            5,
            2,
            new PoolStats(1L << 30, 65_536, 98_304, 50_000, 12, 8, 4096, 512, 1, 1L << 26),
            new Snapshot.Merging(65_536, 40_960, 24_576),
            new Snapshot.Ksmd(true, OptionalDouble.of(0.125), OptionalLong.of(41), OptionalLong.of(6)));

    @Test
    void snapshotUsesTheNamesOfTheRecordComponents() {
        assertThat(SnapshotJson.snapshot(SNAPSHOT, 1_700_000_000_123L)).isEqualTo("""
                {"time":1700000000123,"uptimeSeconds":75,"keys":12,\
                "tenants":[{"index":0,"keys":8,"valueBytes":30000},{"index":3,"keys":4,"valueBytes":20000}],\
                "hits":900,"misses":100,"commands":2000,"evictedKeys":7,"expiredKeys":5,"connectedClients":2,\
                "pool":{"capacityBytes":1073741824,"usedBytes":65536,"logicalBytes":98304,\
                "sharedStores":8,"retainedBytes":4096,"indexBytes":512,"valueBytes":50000,"wastedBytes":48304},\
                "merging":{"requestedBytes":65536,"residentBytes":40960,"savedBytes":24576},\
                "ksmd":{"running":true,"coreShare":0.1250,"fullScans":41,"pagesSharing":6}}""");
    }

    @Test
    void missingKernelCountersAreNull() {
        assertThat(SnapshotJson.snapshot(Snapshots.EMPTY, 0))
                .contains("\"tenants\":[]")
                .endsWith("\"ksmd\":{\"running\":false,\"coreShare\":null,\"fullScans\":null,\"pagesSharing\":null}}");
    }

    @Test
    void numbersDoNotDependOnTheLocale() {
        Locale before = Locale.getDefault();
        try {
            Locale.setDefault(Locale.forLanguageTag("ar-EG-u-nu-arab"));
            assertThat(SnapshotJson.point(SNAPSHOT, 1_000))
                    .isEqualTo("{\"time\":1000,\"requestedBytes\":65536,\"residentBytes\":40960,\"savedBytes\":24576,"
                            + "\"coreShare\":0.1250,\"hits\":900,\"misses\":100}");
        } finally {
            Locale.setDefault(before);
        }
    }

    @Test
    void historyKeepsTheLastTenMinutes() {
        SnapshotHistory history = new SnapshotHistory();
        assertThat(history.json()).isEqualTo("[]");
        for (int second = 0; second <= 600; second += SnapshotHistory.SECONDS) {
            history.add(Snapshots.EMPTY, second * 1000L);
        }
        assertThat(history.json())
                .startsWith("[{\"time\":5000,")
                .contains("},{\"time\":600000,")
                .doesNotContain("\"time\":0,")
                .endsWith("}]");
    }
}
