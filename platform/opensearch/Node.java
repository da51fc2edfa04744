import org.codelibs.opensearch.runner.OpenSearchRunner;

/**
 * One OpenSearch node on the loopback, until it is asked to end: java -cp 'libs/*' Node.java FOLDER HTTP_PORT TRANSPORT_PORT
 * (started by scripts/opensearch.sh).
 */
public class Node {
    public static void main(String[] arguments) throws Exception {
        var runner = new OpenSearchRunner();
        runner.onBuild((number, settings) -> {
            settings.put("network.host", "127.0.0.1");
            settings.put("http.port", arguments[1]);
            settings.put("transport.port", arguments[2]);
            settings.put("discovery.type", "single-node");
            // the disk is the machine's, and fuller than a server's may be
            settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                runner.close();
            } catch (Exception closing) {
                System.err.println(closing);
            }
        }));
        // of the modules those that an index of words and numbers needs
        runner.build(OpenSearchRunner.newConfigs().basePath(arguments[0]).numOfNode(1)
            .moduleTypes("org.opensearch.analysis.common.CommonAnalysisPlugin,org.opensearch.transport.Netty4Plugin"));
        Thread.currentThread().join();
    }
}
